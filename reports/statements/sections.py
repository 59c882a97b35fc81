"""A statement in words: sections of facts and tables, made from its document. Page and PDF file show these."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from common.numbers import DASH, score_text
from reports.content.sections import Cell, Section, audit_section, moment_text

WORDS = {
    "missing": "no record",
    "not_comparable": "not comparable: no model could judge it",
    "unreported": "counted by the line, not reported",
    "reset": "the counter began anew: how many passed is not known",
    "not_covered": "not covered: the counter was not heard",
}
_SHOWN = 200  # rows of what stands beside the statement
_REMARKS = (
    ("ended_without_verdict", "Asked for and not judged", "Error"),
    ("still_open", "Not judged yet", "Part id"),
    ("judged_elsewhere", "Without a record here, judged at another station", "Station"),
    ("judged_otherwise", "Without a record of the line, judged otherwise", "How"),
    ("outside", "Records of the same time that belong to no part", "Verdict"),
)


def sections_of(document: dict[str, Any]) -> list[Section]:
    return [
        _exceptions(document["exceptions"]),
        _counts(document),
        *([_repeated(document["repeated"])] if document["repeated"]["total"] else []),
        *(
            _remark(name, title, heading, document[name])
            for name, title, heading in _REMARKS
            if document[name]["total"]
        ),
        _models(document["models"]),
        _about(document),
        audit_section(document["audit"]),
    ]


def _number(value: int | None) -> Cell:
    return Cell("not known", "") if value is None else Cell(f"{value:,}", value)


def _moment(iso: str | None) -> Cell:
    return Cell(moment_text(iso) or DASH, iso or "")


def name_of(row: dict[str, Any]) -> str:
    """What an exception is of: one part, some that follow each other, or a time."""
    if not row["first"]:
        return "all that passed"
    if row["kind"] == "reset":
        return f"after {row['first']}, before {row['last']}"
    return _span(row)


def _span(row: dict[str, Any]) -> str:
    return str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}"


def _exceptions(part: dict[str, Any]) -> Section:
    rows = [
        [
            Cell(name_of(row)),
            _number(row["count"]),
            Cell(WORDS[row["kind"]]),
            _moment(row["since"]),
            _moment(row["until"]),
        ]
        for row in part["rows"]
    ]
    return Section(
        "exceptions",
        "Exceptions",
        columns=("Parts", "How many", "Why", "After", "Before"),
        rows=rows,
        empty="None.",
        notes=[] if len(rows) == part["total"] else [f"{part['total'] - len(rows):,} more are not named."],
    )


def _counts(document: dict[str, Any]) -> Section:
    counts = document["counts"]
    names: tuple[tuple[str, str], ...] = (
        ("passed", "Parts that passed, as far as they were reported"),
        ("inspected", "Inspected"),
        ("good", "Judged good"),
        ("defective", "Judged defective"),
        ("repeated", "Judged more than once"),
        ("not_comparable", "Not comparable"),
        ("missing", "Without a record"),
        ("unreported", "Counted and not reported"),
        ("resets", "The counter began anew"),
        ("times_not_covered", "Times not covered"),
    )
    if document["basis"] == "serials":
        names = (("passed", "Serial numbers"), *names[1:7])
    return Section("counts", "Counts", [(words, _number(counts[name])) for name, words in names])


def _repeated(part: dict[str, Any]) -> Section:
    rows = [[Cell(_span(row)), _number(row["count"])] for row in part["rows"][:_SHOWN]]
    return Section(
        "repeated",
        "Judged more than once",
        columns=("Parts", "How many"),
        rows=rows,
        notes=_more(part["total"] - len(rows)),
    )


def _remark(name: str, title: str, heading: str, part: dict[str, Any]) -> Section:
    rows = [
        [Cell(row["serial_number"] or DASH, row["serial_number"]), _moment(row["at"]), Cell(row["what"] or DASH)]
        for row in part["rows"]
    ]
    return Section(
        name.replace("_", "-"),
        f"{title} ({part['total']:,})",
        columns=("Serial number", "At", heading),
        rows=rows,
        notes=_more(part["total"] - len(rows)),
    )


def _more(count: int) -> list[str]:
    return [f"{count:,} more are not shown."] if count > 0 else []


def _models(models: list[dict[str, Any]]) -> Section:
    rows = [
        [
            Cell(row["model"], link=reverse("model", args=[row["model_version"]])),
            Cell(f"{score_text(row['value'])} (revision {row['revision']})", row["value"]),
            _number(row["records"]),
        ]
        for row in models
    ]
    return Section(
        "models", "Judged by", columns=("Model", "Threshold", "Records"), rows=rows, empty="Nothing was judged."
    )


def _about(document: dict[str, Any]) -> Section:
    facts = [
        ("Station", Cell(document["station"] or "none")),
        ("From", Cell(document["first"])),
        ("To", Cell(document["last"])),
        ("What passed is known from", Cell(document["source"])),
    ]
    if document["since"]:
        facts += [("Since", _moment(document["since"])), ("Until", _moment(document["until"]))]
    facts += [
        ("First record", _moment(document["first_record_at"])),
        ("Last record", _moment(document["last_record_at"])),
        ("Made", Cell(f"{moment_text(document['made_at'])} ({document['time_zone']}) by {document['made_by']}")),
    ]
    return Section("about", "About", facts)
