"""Writes: the report of a finished study as a PDF; that it was handed out is in the audit log.

The same study gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import transaction
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, Spacer

from common.errors import Conflict
from common.numbers import DASH, percent, percent_range
from common.rights import Right, require
from inspection.record import pdf
from quality.measurement_system import selectors
from quality.measurement_system.models import MeasurementStudy
from records.audit.services import Actor, audit

_STANDARD = (
    ("Appraiser", 34),
    ("Right in all trials", 36),
    ("Misses", 33),
    ("False alarms", 33),
    ("Kappa", 26),
    ("", 12),
)
_AGREEMENT = (("Who", 60), ("The same in all trials", 42), ("Kappa (95 %)", 42), ("", 30))


def export_pdf(*, study: MeasurementStudy, actor: Actor) -> bytes:
    """Raises `Forbidden`, and `Conflict` where the study goes on."""
    require(actor, Right.EXPORT)
    if not study.is_finished:
        raise Conflict(
            "This study is not finished, so there are no results. Wait until everybody has judged all parts.",
            code="study_not_finished",
        )
    data = draw_report(study)
    with transaction.atomic():
        audit(
            kind="measurement_study.exported",
            subject=study,
            actor=actor,
            after={"sha256": hashlib.sha256(data).hexdigest()},
            changes_subject=False,
        )
    return data


def draw_report(study: MeasurementStudy) -> bytes:
    results: dict[str, Any] = json.loads(study.results)
    story: list[Flowable] = [
        Paragraph(pdf.markup(f"Measurement-system analysis: {results['verdict']}"), pdf.TITLE),
        Paragraph(pdf.markup(f"Attribute study of {study.category.name}"), pdf.SOFT_TEXT),
        Spacer(1, 3 * mm),
        *pdf.section("Study", _study(study, results)),
        Paragraph("Against the standard", pdf.HEADING),
        pdf.table(_STANDARD, [_standard_row(row) for row in results["appraisers"]]),
        Paragraph("Within and between appraisers", pdf.HEADING),
        pdf.table(_AGREEMENT, agreement_rows(results)),
        *pdf.section("Limits and method", _method()),
        *pdf.section("Signature", _signature(study)),
    ]
    return pdf.document(story, title=f"Measurement study {study.pk}")


def share_text(share: dict[str, Any]) -> str:
    """A share with its counts and its exact interval."""
    if share["share"] is None:
        return "no such part"
    return f"{percent(share['share'])} ({share['count']}/{share['of']}), {percent_range(share['interval'])}"


def kappa_text(row: dict[str, Any]) -> str:
    if row["kappa"] is None:
        return "not defined"
    low_high = row["kappa_interval"]
    return f"{row['kappa']:.2f}" + (f" ({low_high[0]:.2f}{DASH}{low_high[1]:.2f})" if low_high else "")


def _standard_row(row: dict[str, Any]) -> list[str]:
    figures = row["against_standard"]
    shares = [share_text(figures[name]) for name in ("effectiveness", "misses", "false_alarms")]
    return [row["name"], *shares, kappa_text(figures), figures["verdict"]]


def agreement_rows(results: dict[str, Any]) -> list[list[str]]:
    """Each person with themselves, all with one another, and each two."""
    rows = [
        [row["name"], share_text(row["within"]["agreement"]), kappa_text(row["within"]), row["within"]["verdict"]]
        for row in results["appraisers"]
        if row["within"]
    ]
    between = results["between"]
    rows.append(["all people", share_text(between["agreement"]), kappa_text(between), between["verdict"]])
    for pair in between["pairs"]:
        rows.append([" and ".join(pair["appraisers"]), "", kappa_text(pair), pair["verdict"]])
    return rows


def _study(study: MeasurementStudy, results: dict[str, Any]) -> list[tuple[str, str]]:
    who = ", ".join(user.get_full_name() or user.get_username() for user in selectors.people(study))
    expert = study.expert and (study.expert.get_full_name() or study.expert.get_username())
    standard = f"the word of {expert}, given blind after all others" if expert else "the settled reviews of the records"
    return [
        ("Reason", study.reason),
        ("Appraisers", f"{who}; {study.trials} trials each, blind, in an order of their own each time"),
        (
            "Model versions",
            "judge by their score at their active threshold; a score is computed once and repeats itself",
        ),
        (
            "Parts",
            f"{results['parts']}, of which {results['near_threshold']} near the threshold (within 20 % of it) and "
            f"{results['defective_parts']} defective by the standard",
        ),
        ("Standard", standard),
        (
            "Draw",
            f"from {study.candidates} records, fixed by audit event {study.event_sequence}, whose hash {study.seed} "
            "is the seed",
        ),
        ("Time", f"{pdf.moment(study.created_at)} to {pdf.moment(study.finished_at)}" if study.finished_at else ""),
    ]


def _method() -> list[tuple[str, str]]:
    return [
        ("Effectiveness", "parts judged rightly in every trial: 90 % acceptable, 80 % marginal"),
        ("Misses", "defective parts called good: up to 2 % acceptable, up to 5 % marginal"),
        ("False alarms", "good parts called defective: up to 5 % acceptable, up to 10 % marginal"),
        ("Kappa", "above 0.75 good (acceptable), below 0.40 poor (unacceptable), between them marginal"),
        (
            "Intervals",
            "95 %. Shares: exact (Clopper-Pearson); those of misses and false alarms take the trials of one part for "
            "independent and are a little too narrow. Kappa: jackknife over the parts",
        ),
        (
            "After",
            "AIAG, Measurement Systems Analysis, 4th edition (attribute study: repeated blind judgements, kappa, "
            "effectiveness, miss and false-alarm rates). VDI/VDE/VDMA 2632-3 describes the acceptance test of "
            "classifying vision systems: tests on parts whose class is known, with escapes and false rejects stated "
            "apart; the rows of the model versions are such a test. This report claims no conformity with either",
        ),
    ]


def _signature(study: MeasurementStudy) -> list[tuple[str, str]]:
    return [
        ("SHA-256 of the results", study.results_sha256),
        ("Ed25519 signature of them", study.signature),
        ("Key", study.key_id),
        ("To check", "the results are the member `results` of the study in the API, as canonical JSON"),
    ]
