"""Reads: the report of a batch, to file, to print or to read into another program, made while it is sent.

What is not finished can be reported too: the report then says that it is partial, in its name and in itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils.html import escape, format_html

from common.errors import UserError
from inspection.batches.documents import batch_summary, item_document
from inspection.batches.selectors import items_of
from inspection.csv_tables import CsvTable, Dialect, find_dialect
from inspection.history.exports import Export
from inspection.models import BatchRun
from records.assets.images import clean_name

_CHUNK = 500  # items fetched, and sent, at once

# Names stay what they are; new ones come at the end.
COLUMNS = (
    "position",
    "filename",
    "path",
    "status",
    "outcome",
    "score",
    "threshold",
    "threshold_revision",
    "p_value",
    "reason",
    "explanation",
    "region_count",
    "largest_region_px",
    "inspection_id",
    "image_sha256",
    "station",
    "lot",
    "part_number",
    "serial_number",
    "code",
    "detail",
    "created_at",
    "review_verdict",
    "reviewer",
    "warnings",
    "category",
    "model_version",
    "version_number",
    "algorithm",
    "standing_verdict",
    "reviewed_at",
    "overruled",
    "mm_per_px",
    "largest_region_mm2",
    "min_region_mm2",
    "ignored_region_count",
    "severity",
    "size_note",
)


def batch_report(batch: BatchRun, *, form: str, dialect: str = "") -> Export:
    """The report as `csv`, `json` or `html`; complete when the batch is over. `dialect`: of `inspection.csv_tables`."""
    if form not in FORMS:
        raise UserError(f"format must be one of {', '.join(FORMS)}.", code="invalid")
    media_type, write = FORMS[form]
    written_as = find_dialect(dialect, form=form)
    complete = not batch.is_open
    filename = f"batch-{batch.pk}{'' if complete else '-partial'}.{form}"
    return Export(filename, media_type, _encoded(write(batch, complete, written_as)))


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    """In parts that are worth a packet."""
    part: list[str] = []
    for text in texts:
        part.append(text)
        if len(part) == _CHUNK:
            yield "".join(part).encode()
            part.clear()
    yield "".join(part).encode()


def _documents(batch: BatchRun) -> Iterator[dict[str, Any]]:
    return (item_document(item) for item in items_of(batch).iterator(chunk_size=_CHUNK))


# ---------------------------------------------------------------- csv
def _csv(batch: BatchRun, complete: bool, dialect: Dialect) -> Iterator[str]:
    """One line for each image; that there is no record yet shows in its status."""
    table = CsvTable(dialect, COLUMNS)
    for document in _documents(batch):
        cells = document | _beside_the_model(document)
        table.write(cells.get(column, "") for column in COLUMNS)
        yield table.take()
    yield table.take()  # the names alone, where there is nothing else


def _beside_the_model(document: dict[str, Any]) -> dict[str, Any]:
    """What stands beside its verdict: a person's, with the name, and what was odd about the picture."""
    review = document.get("review") or {}
    warnings = (f"{warning['code']}: {warning['detail']}" for warning in document.get("warnings", ()))
    return {
        "review_verdict": review.get("verdict", ""),
        "reviewer": review.get("reviewer", ""),
        "overruled": review.get("overruled", ""),
        "warnings": " ".join(warnings),
    }


# ---------------------------------------------------------------- json
def _json(batch: BatchRun, complete: bool, dialect: Dialect) -> Iterator[str]:
    """As the batch's own document, and whether it is complete."""
    head = json.dumps({"complete": complete, **batch_summary(batch)}, allow_nan=False)
    yield f'{head[:-1]}, "results": ['
    for index, document in enumerate(_documents(batch)):
        yield f"{',' if index else ''}\n{json.dumps(document, allow_nan=False)}"
    yield "\n]}\n"


# ---------------------------------------------------------------- html
_STYLE = """
body { font: 10pt/1.4 system-ui, sans-serif; color: #111; background: #fff; margin: 2rem auto; max-width: 70rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }
p.partial { border: 2px solid #a40; padding: .5rem .8rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .2rem .5rem; }
tr { border-bottom: 1px solid #ccc; break-inside: avoid; } thead { display: table-header-group; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } table.facts { width: auto; }
td { overflow-wrap: anywhere; } td.defective, td.failed { font-weight: 700; } small { color: #555; }
@media print { body { margin: 0; max-width: none; font-size: 8pt; } a { color: inherit; text-decoration: none; } }
"""
# What the page may do when a browser opens it from here: be shown in its own style, and nothing else.
HTML_POLICY = {
    "default-src": ["'none'"],
    "style-src": [f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"],
}
_FACTS = {
    "batch": "batch_id",
    "state": "status",
    "model": "model",
    "requested by": "requested_by",
    "requested at": "created_at",
    "started at": "started_at",
    "finished at": "finished_at",
    "seconds": "duration_seconds",
    "images per second": "images_per_second",
    "images": "total",
    "failed": "failed",
    "cancelled": "cancelled",
    "reviewed": "reviewed",
    "overruled, of the reviewed": "overruled",
}
_VERDICTS = {"good": "good", "defect": "defective", "not comparable": "not_comparable"}
_WORDS = {value: word for word, value in _VERDICTS.items()}


def _html(batch: BatchRun, complete: bool, dialect: Dialect) -> Iterator[str]:
    """One page that needs nothing else: no script, no picture, no other file."""
    summary = batch_summary(batch)
    title = format_html("Batch {}", clean_name(batch.name))
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    if not complete:
        yield (
            f'<p class="partial">This report is partial: {summary["done"] + summary["failed"]} of '
            f"{summary['total']} images of the batch are finished.</p>\n"
        )
    values = summary | {"model": str(batch.deployment.model_version)}
    values |= {name: _moment(summary[name]) for name in ("created_at", "started_at", "finished_at")}
    yield from _facts((name, values[key]) for name, key in _FACTS.items())
    yield '<h2>Verdicts</h2>\n<table class="facts">\n<thead><tr><td></td><th scope="col">model</th>'
    yield '<th scope="col">after reviews</th></tr></thead>\n'
    for word, key in _VERDICTS.items():
        yield format_html(
            '<tr><th scope="row">{}</th><td class="number">{}</td><td class="number">{}</td></tr>\n',
            *(word, summary[key], summary[f"stands_{key}"]),
        )
    yield "</table>\n"
    if summary["warnings"]:
        yield "<h2>Remarks</h2>\n"
        yield from (format_html("<p>{}</p>\n", warning) for warning in summary["warnings"])
    if summary["failed_by_code"]:
        yield "<h2>Reasons of failed images</h2>\n"
        yield from _facts(summary["failed_by_code"].items())
    if summary["scores"]:
        yield "<h2>Scores</h2>\n"
        yield from _facts((name, f"{value:.6g}") for name, value in summary["scores"].items())
    yield "<h2>Images</h2>\n<table>\n<thead><tr>"
    columns = ("#", "file", "model", "stands", "score", "threshold", "remark")
    yield "".join(f'<th scope="col">{name}</th>' for name in columns)
    yield "</tr></thead>\n<tbody>\n"
    for document in _documents(batch):
        yield _row(document)
    yield "</tbody>\n</table>\n</body>\n</html>\n"


def _facts(facts: Iterable[tuple[str, Any]]) -> Iterator[str]:
    yield '<table class="facts">\n'
    for name, value in facts:
        cell = "-" if value is None else value
        yield format_html('<tr><th scope="row">{}</th><td class="number">{}</td></tr>\n', name, cell)
    yield "</table>\n"


def _row(document: dict[str, Any]) -> str:
    verdict = document.get("outcome") or document["status"]
    standing_verdict = document.get("standing_verdict", "")
    review = document.get("review")
    by = (
        format_html("<br><small>{}, {}</small>", review["reviewer"], _moment(document["reviewed_at"])) if review else ""
    )
    remark = escape(" ".join(_remarks(document)))
    if "inspection_id" in document:
        record = document["inspection_id"]
        remark = format_html('{} <a href="{}">{}</a>', remark, reverse("inspection", args=[record]), record)
    return format_html(
        '<tr><td class="number">{}</td><td>{}</td><td class="{}">{}</td><td class="{}">{}{}</td>'
        '<td class="number">{}</td><td class="number">{}</td><td>{}</td></tr>\n',
        document["position"],
        document.get("path") or document["filename"],
        "failed" if verdict == "failed" else "",
        _WORDS.get(verdict, verdict),
        standing_verdict,
        _WORDS.get(standing_verdict, ""),
        by,
        _number(document.get("score")),
        _number(document.get("threshold")),
        remark,
    )


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    if text := document.get("detail") or document.get("explanation"):
        yield text
    yield from (warning["detail"] for warning in document.get("warnings", ()))


def _moment(iso: str | None) -> str | None:
    return None if iso is None else f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


FORMS: dict[str, tuple[str, Callable[[BatchRun, bool, Dialect], Iterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "json": ("application/json", _json),
    "html": ("text/html; charset=utf-8", _html),
}
