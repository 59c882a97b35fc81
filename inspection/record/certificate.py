"""Writes: the certificate of a record, a PDF for whoever gets the part; that it was made is in the audit log.

The same record, moment and person give the same bytes: nothing in it comes from the clock or from chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import override
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, Spacer, Table, TableStyle
from reportlab.platypus import Image as Picture

from common.rights import Right, require
from inspection.judging.documents import VERDICT_WORDS, verdict_in_words
from inspection.judging.pictures import as_judged, heat
from inspection.models import Inspection, Review
from inspection.record import pdf
from inspection.record.pages import recorded_by, removal, reviews_of
from modelzoo.documents import find_threshold
from modelzoo.scales.selectors import rule_words
from modelzoo.signatures.selectors import signature_of
from records.audit.services import Actor, audit
from records.models import AuditEvent, Discarded

_PICTURE = 82 * mm
_PIXELS = 900  # of a picture's longer side: 270 to the inch
_FILLS = {
    Inspection.Outcome.GOOD: colors.HexColor("#00796b"),
    Inspection.Outcome.DEFECTIVE: colors.HexColor("#c2410c"),
    Inspection.Outcome.NOT_COMPARABLE: colors.HexColor("#8a5a00"),
}


def make_certificate(*, inspection: Inspection, actor: Actor) -> bytes:
    """The PDF. Raises `Forbidden`. An image that retention removed is said to be so."""
    require(actor, Right.READ)
    at = timezone.now()
    reviews = reviews_of(inspection)
    event = recorded_by(inspection)
    by = actor.get_username() if actor is not None and actor.pk is not None else "the system"
    data = draw_certificate(inspection, reviews=reviews, event=event, at=at, by=by)
    with transaction.atomic():
        audit(
            kind="certificate.made",
            subject=inspection,
            actor=actor,
            after={"sha256": hashlib.sha256(data).hexdigest(), "at": at, "reviews": len(reviews)},
        )
    return data


@override("en")  # a document is the same whoever asks for it
def draw_certificate(
    inspection: Inspection, *, reviews: Sequence[Review], event: AuditEvent, at: datetime, by: str
) -> bytes:
    """The same arguments give the same bytes."""
    story: list[Flowable] = [
        Paragraph(pdf.markup(f"Inspection certificate: {verdict_in_words(inspection)}"), pdf.TITLE),
        Paragraph(pdf.markup(f"{inspection.model_version.category.name}: {inspection.path_or_name}"), pdf.SOFT_TEXT),
        Spacer(1, 3 * mm),
        verdict_flowable(inspection),
        Spacer(1, 3 * mm),
        *pictures(inspection),
        *pdf.section("Part", part_rows(inspection)),
        *pdf.section(judge_title(inspection), judge_rows(inspection)),
        *pdf.section("Reviews", review_rows(inspection, reviews)),
        *pdf.section("Record", _evidence(inspection, event, at, by)),
    ]
    return pdf.document(story, title=f"Inspection certificate {inspection.pk}")


# ---------------------------------------------------------------- what it says
def verdict_flowable(inspection: Inspection) -> Flowable:
    """What stands leads: a person's word over the model's, which is said beside it."""
    verdict = inspection.standing_verdict
    sentence = score_sentence(inspection)
    if inspection.differs:
        standing = inspection.standing
        kind = f" ({standing.defect_type})" if standing.defect_type else ""
        model = f"model: {VERDICT_WORDS[inspection.outcome]}" if inspection.is_judged else "the model gave no verdict"
        sentence = (
            f"{standing.reviewer.get_username()} reviewed this part as {VERDICT_WORDS[verdict]}{kind} on "
            f"{pdf.moment(standing.last_review.created_at)}; {model}. {sentence}"
        )
    return verdict_box(verdict_in_words(inspection), verdict, sentence, is_of_a_person=inspection.differs)


def verdict_box(word: str, verdict: str, sentence: str, *, is_of_a_person: bool) -> Flowable:
    """A verdict in its colour beside a sentence. As on pages: a model's word is filled, a person's outlined."""
    fill = _FILLS[Inspection.Outcome(verdict)]
    ink = fill if is_of_a_person else colors.white
    style = ParagraphStyle("verdict", parent=pdf.TEXT, fontName=pdf.BOLD, fontSize=15, leading=19, textColor=ink)
    first = 62 * mm
    table = Table(
        [[Paragraph(pdf.markup(word), style), Paragraph(pdf.markup(sentence), pdf.TEXT)]],
        colWidths=[first, pdf.WIDTH - first],
    )
    look = [
        ("BACKGROUND", (0, 0), (0, 0), colors.white if is_of_a_person else fill),
        ("BOX", (0, 0), (0, 0), 2, fill),
        ("BOX", (0, 0), (-1, -1), 0.7, pdf.LINE),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
    ]
    table.setStyle(TableStyle(look))
    return table


def score_sentence(inspection: Inspection) -> str:
    """What the model measured."""
    if inspection.score is None:
        return f"{inspection.explanation} It has no score: the model could not judge this part."
    side = "above" if inspection.is_above_threshold else "not above"
    sentence = f"Score {inspection.score:.6g}, {side} the threshold {inspection.threshold_value:.6g}."
    if inspection.p_value is not None:
        sentence += f" {inspection.among_good_parts.capitalize()} (p-value {inspection.p_value:.3g})."
    if inspection.region_count:
        sentence += (
            f" {inspection.region_count} region{'s' if inspection.region_count > 1 else ''} above the threshold, "
            f"the largest of {inspection.largest_region_px} pixels"
        )
        area = inspection.largest_region_mm2
        sentence += "." if area is None else f" ({area:.3g} mm²)."
    if inspection.severity:
        sentence += f" Severity: {inspection.severity}."
    if inspection.size_note:
        sentence += f" {inspection.size_note}"
    return sentence


def pictures(inspection: Inspection) -> list[Flowable]:
    """The image, and the same with its anomaly map, as far as they are still there."""
    try:
        image = as_judged(inspection)
    except Discarded as gone:
        return [Paragraph(pdf.markup(f"{gone.detail} {removal(inspection)}"), pdf.TEXT)]
    image.thumbnail((_PIXELS, _PIXELS))
    cells: list[Flowable] = [_picture(image)]
    words = ["Image as judged" if inspection.is_judged else "Original image"]
    if inspection.map is not None:
        try:
            layer = Image.open(BytesIO(heat(inspection).data)).convert("RGBA").resize(image.size)
        except Discarded as gone:
            words.append(f"Without its anomaly map: {gone.detail}")
        else:
            cells.append(_picture(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")))
            words.append("Anomaly map, transparent below half the threshold; the line is at the threshold")
    columns = len(words)
    rows: list[list[Flowable]] = [
        [*cells, *[Spacer(1, 1)] * (columns - len(cells))],
        [Paragraph(pdf.markup(text), pdf.SOFT_TEXT) for text in words],
    ]
    table = Table(rows, colWidths=[pdf.WIDTH / 2] * columns, hAlign="LEFT")
    table.setStyle(TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return [table]


def _picture(image: Image.Image) -> Flowable:
    data = BytesIO()
    image.save(data, "PNG")
    data.seek(0)
    scale = min(_PICTURE / image.width, _PICTURE / image.height)
    return Picture(data, width=image.width * scale, height=image.height * scale, hAlign="LEFT")


def part_rows(inspection: Inspection) -> list[tuple[str, str]]:
    named = [
        ("Part number", inspection.part_number),
        ("Serial number", inspection.serial_number),
        ("Lot", inspection.lot),
        ("Station", inspection.station),
        ("Inspected by", inspection.operator.get_username() if inspection.operator else ""),
    ]
    image = inspection.asset
    return [
        *((name, value) for name, value in named if value),
        ("Inspected at", pdf.moment(inspection.created_at)),
        (
            "Image",
            f"{inspection.path_or_name}, {image.image_format}, {image.width} x {image.height} pixels, "
            f"{image.size_bytes:,} bytes",
        ),
        ("SHA-256 of the image", image.sha256),
    ]


def judge_title(inspection: Inspection) -> str:
    return "Judged with" if inspection.is_judged else "Model, which could not judge it"


def judge_rows(inspection: Inspection) -> list[tuple[str, str]]:
    version, threshold = inspection.model_version, inspection.threshold
    author = threshold.author.get_username() if threshold.author else "the system"
    rows = [
        ("Model", f"{version}, trained on {version.dataset_name}"),
        ("SHA-256 of the model", version.artifact_sha256),
        ("SHA-256 of its data", version.dataset_snapshot),
    ]
    if inspection.backbone_sha256:
        rows.append(("SHA-256 of its backbone", f"{inspection.backbone_sha256} ({version.backbone})"))
    return [
        *rows,
        (
            "Threshold",
            f"{threshold.value:.6g}, revision {threshold.revision} ({threshold.get_method_display()}) by {author} of "
            f"{pdf.moment(threshold.created_at)}: {threshold.reason}{_signed(find_threshold(threshold.pk))}",
        ),
        *_sizes(inspection),
        ("Worker", f"{inspection.worker}, {inspection.device}, code {inspection.code_version}"),
    ]


def _sizes(inspection: Inspection) -> list[tuple[str, str]]:
    """The scale that regions were measured with, and the size rule of the threshold's revision."""
    rows = []
    if rule := rule_words(inspection.threshold.size_rule):
        rows.append(("Size rule", " ".join(rule)))
    if (calibration := inspection.calibration) is not None:
        rows.append(
            (
                "Scale",
                f"{calibration.scale:.5g} mm per pixel (standard uncertainty {calibration.uncertainty_percent:.2g} %), "
                f"{calibration.get_method_display().lower()}, revision {calibration.revision} of "
                f"{pdf.moment(calibration.created_at)}{''.join(f'. {warning}' for warning in calibration.warnings)}",
            )
        )
    return rows


def review_rows(inspection: Inspection, reviews: Sequence[Review]) -> list[tuple[str, str]]:
    if not reviews:
        alone = "the verdict is the model's only" if inspection.is_judged else "the part has no verdict"
        return [("None", f"No person has reviewed this record: {alone}.")]
    rows = []
    for review in reviews:
        agrees = {True: "agrees with the model", False: "overrules the model", None: "the model gave no verdict"}
        if review.verdict == Review.WITHDRAWN:
            agrees[None] = "the record is no longer reviewed"
        words = [VERDICT_WORDS[review.verdict]]
        if review.defect_type:
            words.append(f"({review.defect_type})")
        sentence = f"{' '.join(words)}, {agrees[review.agrees]}, {pdf.moment(review.created_at)}"
        if review.regions:
            sentence += f", {len(review.regions)} place{'s' if len(review.regions) > 1 else ''} marked"
        rows.append((review.reviewer.get_username(), f"{sentence}{_signed(review)}. {review.comment}".strip()))
    return rows


def _signed(row: Any) -> str:
    """Of a row of `signed_rows`: the printed name, time and meaning of its signature, and the event that holds it."""
    signed = signature_of(row)
    if signed is None:
        return ""
    return f"; {signed.sentence}, {pdf.moment(signed.signed_at)} (audit event {signed.event}, {signed.event_hash})"


def _evidence(inspection: Inspection, event: AuditEvent, at: datetime, by: str) -> list[tuple[str, str]]:
    return [
        ("Inspection", str(inspection.pk)),
        ("Audit event", f"{event.sequence} of {pdf.moment(event.at)}"),
        ("Hash of the event", event.hash),
        ("Certificate made", f"{pdf.moment(at)} by {by}"),
        (
            "About this document",
            "A copy of the record at that time. The record cannot be changed; reviews may have been added since. "
            "Check the hash of the event against the audit log.",
        ),
    ]
