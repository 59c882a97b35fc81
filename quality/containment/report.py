"""Writes: the list of a containment as a PDF and a CSV file; that it was handed out is in the audit log.

The same containment gives the same bytes: nothing in it comes from the clock or from chance.
"""

from __future__ import annotations

import hashlib

from django.db import transaction
from django.utils.translation import override
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, Spacer

from common.errors import Conflict
from common.rights import Right, require
from inspection.record import pdf
from quality.containment import selectors
from quality.containment.documents import list_csv
from quality.containment.pages import bound_sentences, expected_sentence, scope_sentence
from quality.models import ContainedPart, Containment
from records.audit.services import Actor, audit

_COLUMNS = (("", 9), ("Serial number, file", 48), ("Lot", 22), ("Station", 22), ("Inspected at", 34), ("Why", 39))


def export_csv(*, containment: Containment, actor: Actor) -> bytes:
    """Raises `Forbidden`, and `Conflict` where it is not finished."""
    _check(containment, actor)
    return _handed_out(containment, actor, "csv", list_csv(containment))


def export_pdf(*, containment: Containment, actor: Actor) -> bytes:
    """The same, to hand to a customer."""
    _check(containment, actor)
    with override("en"):  # a document is the same whoever asks for it
        return _handed_out(containment, actor, "pdf", draw_report(containment))


def _check(containment: Containment, actor: Actor) -> None:
    require(actor, Right.EXPORT)
    if not containment.is_finished:
        raise Conflict(
            f"This containment is {containment.status}: it has no list yet. Wait until it is finished.",
            code="containment_not_finished",
        )


@transaction.atomic
def _handed_out(containment: Containment, actor: Actor, form: str, data: bytes) -> bytes:
    audit(
        kind="containment.exported",
        subject=containment,
        actor=actor,
        after={"form": form, "sha256": hashlib.sha256(data).hexdigest(), "parts": containment.listed},
        changes_subject=False,
    )
    return data


def draw_report(containment: Containment) -> bytes:
    escape = containment.escape
    story: list[Flowable] = [
        Paragraph(pdf.markup(f"Containment: {containment.listed} parts to check"), pdf.TITLE),
        Paragraph(pdf.markup(f"{escape.category.name}: parts like {escape.filename}, which escaped"), pdf.SOFT_TEXT),
        Spacer(1, 3 * mm),
        *pdf.section("Escape", _escape(containment)),
        *pdf.section("Scope", _scope(containment)),
        *pdf.section("Signature", _signature(containment)),
        *_parts(containment),
    ]
    return pdf.document(story, title=f"Containment {containment.pk}")


def _escape(containment: Containment) -> list[tuple[str, str]]:
    escape = containment.escape
    named = [("Serial number", escape.serial_number), ("Lot", escape.lot), ("Station", escape.station)]
    return [
        ("Inspection", str(escape.pk)),
        ("Inspected at", pdf.moment(escape.created_at)),
        *((name, value) for name, value in named if value),
        ("Judged by", f"{escape.model_version}, threshold {escape.threshold_value:.6g}, score {escape.score:.6g}"),
        ("Reason", containment.reason),
    ]


def _scope(containment: Containment) -> list[tuple[str, str]]:
    rows = [
        ("Searched", scope_sentence(containment)),
        *(("But", sentence) for sentence in bound_sentences(containment)),
        ("Listed", f"anomaly maps at least {containment.min_likeness:.2f} alike (1: the same pattern)"),
        ("Further escapes", expected_sentence(containment)),
    ]
    if containment.rescoring:
        run = containment.rescoring
        rows.insert(
            2,
            (
                "Scored again",
                f"with {run.model_version} at threshold {run.threshold.value:.6g}: what it rejects is listed too "
                f"({run.failed} could not be scored)",
            ),
        )
    if containment.without_map:
        rows.append(("Not compared", f"{containment.without_map} parts, whose anomaly maps retention removed"))
    return rows


def _signature(containment: Containment) -> list[tuple[str, str]]:
    by = containment.requested_by.get_username() if containment.requested_by else "the system"
    finished = containment.finished_at
    return [
        ("SHA-256 of the CSV file", containment.list_sha256),
        ("Ed25519 signature of it", containment.signature),
        ("Key", containment.key_id),
        ("Made", f"{pdf.moment(finished) if finished else ''}, asked for by {by}"),
        ("To check", "openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in LIST.csv -sigfile SIGNATURE"),
    ]


def _parts(containment: Containment) -> list[Flowable]:
    heading = Paragraph("Parts to check", pdf.HEADING)
    parts = selectors.listed_parts(containment)
    if not parts:
        return [heading, Paragraph("No other part that passed is like it.", pdf.TEXT)]
    return [heading, pdf.table(_COLUMNS, [_row(place, part) for place, part in enumerate(parts, 1)])]


def _row(place: int, part: ContainedPart) -> list[str]:
    record = part.inspection
    why = [] if part.likeness is None else [f"{part.likeness:.2f} alike"]
    if part.rescored_outcome:
        why.append(f"re-scored {part.rescored_outcome.replace('_', ' ')}")
    return [
        str(place),
        " ".join(text for text in (record.serial_number, record.filename) if text),
        record.lot,
        record.station,
        pdf.moment(record.created_at),
        ", ".join(why),
    ]
