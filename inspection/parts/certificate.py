"""Writes: the certificate of a part, one PDF with all its views; that it was made is in the audit log.

The same record, moment and person give the same bytes, as of a single record (`inspection.record.certificate`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import override
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, PageBreak, Paragraph, Spacer

from common.errors import Conflict
from common.rights import Right, require
from inspection.judging.documents import VERDICT_WORDS, verdict_in_words
from inspection.parts.completion import PART_RECORDED, ViewResult
from inspection.parts.selectors import Part
from inspection.parts.verdict import ViewState
from inspection.record import certificate as of_records
from inspection.record import pdf
from inspection.record.pages import reviews_of
from records.audit.services import Actor, audit
from records.keys import short_key
from records.models import AuditEvent

RULE = (
    "Defective if any view is defective; else not comparable if any view is not comparable, refused or missing; else "
    "good."
)
STATE_WORDS = {
    **{state: VERDICT_WORDS[str(state)] for state in (ViewState.GOOD, ViewState.DEFECTIVE, ViewState.NOT_COMPARABLE)},
    ViewState.REFUSED: "REFUSED",
    ViewState.MISSING: "MISSING",
}


def make_part_certificate(*, part: Part, actor: Actor) -> bytes:
    """The PDF. Raises `Forbidden`, and `Conflict` while the part is open: it has no verdict."""
    require(actor, Right.READ)
    if part.record is None:
        raise Conflict(
            f"Part {part.request.part_id} is open and has no verdict yet. No certificate was made. Ask for it when all "
            "views are there or its time is over.",
            code="part_open",
        )
    at = timezone.now()
    by = actor.get_username() if actor is not None and actor.pk is not None else "the system"
    event = AuditEvent.objects.get(
        kind=PART_RECORDED, object_type=part.record._meta.label_lower, object_id=str(part.record.pk)
    )
    data = draw_part_certificate(part, event=event, at=at, by=by)
    with transaction.atomic():
        audit(
            kind="certificate.made",
            subject=part.record,
            actor=actor,
            after={"sha256": hashlib.sha256(data).hexdigest(), "at": at, "part_id": part.record.part_id},
        )
    return data


@override("en")  # a document is the same whoever asks for it
def draw_part_certificate(part: Part, *, event: AuditEvent, at: datetime, by: str) -> bytes:
    """The same arguments give the same bytes."""
    record, outcome = part.record, part.standing_outcome
    assert record is not None, "what is certified is closed"
    assert outcome is not None, "what is closed has a verdict"
    word = f"{VERDICT_WORDS[outcome]}, after reviews" if part.differs else VERDICT_WORDS[outcome]
    sentence = f"{record.explanation} {RULE}".strip()
    if part.differs:
        sentence = f"The models: {VERDICT_WORDS[record.outcome]}. {sentence}"
    story: list[Flowable] = [
        Paragraph(pdf.markup(f"Part certificate: {word}"), pdf.TITLE),
        Paragraph(pdf.markup(f"{record.layout_name}: {record.part_id}"), pdf.SOFT_TEXT),
        Spacer(1, 3 * mm),
        of_records.verdict_box(word, outcome, sentence, is_of_a_person=part.differs),
        Spacer(1, 3 * mm),
        Paragraph("Views", pdf.HEADING),
        pdf.table(
            [("View", 30), ("Category", 36), ("Verdict", 36), ("Score", 20), ("Threshold", 20), ("Record", 30)],
            [_row(view) for view in part.views],
        ),
        *pdf.section("Part", _facts(part)),
        *pdf.section(
            "Record",
            [
                ("Part record", str(record.pk)),
                ("Audit event", f"{event.sequence} of {pdf.moment(event.at)}"),
                ("Hash of the event", event.hash),
                ("Certificate made", f"{pdf.moment(at)} by {by}"),
                (
                    "About this document",
                    "A copy of the record of the part and of the records of its views at that time. Records cannot be "
                    "changed; reviews may have been added since. Check the hash of the event against the audit log.",
                ),
            ],
        ),
    ]
    for view in part.views:
        story += [PageBreak(), *_view(view)]
    return pdf.document(story, title=f"Part certificate {record.pk}")


def _row(view: ViewResult) -> tuple[str, ...]:
    record = view.inspection
    if record is None or record.score is None:
        score, threshold = "-", "-" if record is None else f"{record.threshold_value:.6g}"
    else:
        score, threshold = f"{record.score:.6g}", f"{record.threshold_value:.6g}"
    verdict = verdict_in_words(record) if record is not None else STATE_WORDS[ViewState(str(view.state))]
    return (view.view.name, view.view.category.name, verdict, score, threshold, short_key(record.pk) if record else "-")


def _facts(part: Part) -> list[tuple[str, str]]:
    record = part.record
    assert record is not None
    named = [
        ("Part id", record.part_id),
        ("Serial number", record.serial_number),
        ("Part number", record.part_number),
        ("Lot", record.lot),
        ("Station", record.station),
        ("Inspected by", record.operator.get_username() if record.operator else ""),
    ]
    return [
        *((name, value) for name, value in named if value),
        ("Layout", f"{record.layout_name}, revision {record.layout.revision}"),
        ("First view at", pdf.moment(record.opened_at)),
        ("Complete or closed at", pdf.moment(record.created_at)),
    ]


def _view(view: ViewResult) -> list[Flowable]:
    """One view on a page of its own: what the certificate of its record says."""
    record = view.inspection
    title = f"View {view.view.name}"
    if record is None:
        word = STATE_WORDS[ViewState(str(view.state))]
        return [
            Paragraph(pdf.markup(f"{title}: {word}"), pdf.TITLE),
            Paragraph(pdf.markup(view.view.category.name), pdf.SOFT_TEXT),
            Spacer(1, 3 * mm),
            Paragraph(pdf.markup(f"{view.explanation} No model has judged this view."), pdf.TEXT),
        ]
    return [
        Paragraph(pdf.markup(f"{title}: {verdict_in_words(record)}"), pdf.TITLE),
        Paragraph(pdf.markup(f"{view.view.category.name}: {record.path_or_name}"), pdf.SOFT_TEXT),
        Spacer(1, 3 * mm),
        of_records.verdict_flowable(record),
        Spacer(1, 3 * mm),
        *of_records.pictures(record),
        *pdf.section("Image", of_records.part_rows(record)),
        *pdf.section(of_records.judge_title(record), of_records.judge_rows(record)),
        *pdf.section("Reviews", of_records.review_rows(record, reviews_of(record))),
    ]
