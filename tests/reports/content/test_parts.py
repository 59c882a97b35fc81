"""What a report says of parts of several views: each counted once, as it was closed, and what reviews made of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from inspection.models import Inspection, PartLayout
from inspection.part_layouts.services import ViewPlan, set_layout
from inspection.parts.services import inspect_part
from inspection.reviews.services import record_review
from modelzoo.models import Category
from reports.content.documents import report_document
from reports.content.pdf import report_pdf
from reports.content.scope import Kind, Scope
from reports.content.sections import sections_of
from reports.content.table import report_csv
from tests.inspection.parts.conftest import image, submission
from tests.inspection.parts.conftest import layout as layout  # a fixture

pytestmark = pytest.mark.django_db


def around(**more: Any) -> Scope:
    now = timezone.now()
    return Scope(Kind.PERIOD, now - timedelta(hours=3), now + timedelta(hours=1), **more)


def test_parts_are_counted_once(layout: PartLayout, worker: None, user: User) -> None:
    good = [image("top"), image("left", 8), image("right", 9)]
    bad = [image("top"), image("left", 8, defective=True), image("right", 9)]
    unsure = [image("top"), image("left", data=b"no image"), image("right", 9)]
    for number, (images, lot) in enumerate(((good, "L1"), (good, "L1"), (bad, "L1"), (bad, "L2"), (unsure, "L2"))):
        inspect_part(submission=submission(f"P{number}", lot=lot, station="line 3"), images=images)
    set_layout(
        name="lid",
        views=[ViewPlan("top", Category.objects.get())],
        time_limit_seconds=5,
        reason="one camera",
        actor=user,
    )
    inspect_part(submission=submission("P1", layout="lid", lot="L1"), images=[image("top", defective=True)])
    left = Inspection.objects.get(part_view__part__part_id="P2", part_view__view__name="left")
    record_review(inspection=left, verdict="good", actor=user)

    counts = report_document(around())["parts"]
    assert (counts["parts"], counts["good"], counts["defective"], counts["not_comparable"]) == (6, 2, 3, 1)
    assert (counts["stands_good"], counts["stands_defective"]) == (3, 2)
    assert (counts["defect_rate"]["found"], counts["defect_rate"]["of"]) == (3, 5)
    rows = {row["layout"]: row for row in counts["by_layout"]["rows"]}
    assert {name: (row["parts"], row["defective"]) for name, row in rows.items()} == {"housing": (5, 2), "lid": (1, 1)}
    assert report_document(around(lot="L2"))["parts"]["parts"] == 2
    assert report_document(around(station="line 3"))["parts"]["parts"] == 5
    assert report_document(around(category=Category.objects.get()))["parts"]["parts"] == 6
    other = Category.objects.create(name="ring", given_name="ring")
    assert report_document(around(category=other))["parts"]["parts"] == 0


def test_a_report_has_the_section_where_there_are_parts(layout: PartLayout, worker: None) -> None:
    document = report_document(around())
    assert "parts" not in {section.name for section in sections_of(document)}
    before_there_were_parts = {name: value for name, value in document.items() if name != "parts"}
    assert "parts" not in {section.name for section in sections_of(before_there_were_parts)}
    inspect_part(submission=submission("P1"), images=[image("top"), image("left"), image("right")])
    document = report_document(around())
    [section] = [section for section in sections_of(document) if section.name == "parts"]
    assert dict(section.facts)["Parts"].value == 1
    assert section.rows[0][0].text == "housing"
    assert b"Parts of several views" in report_csv(document)
    assert report_pdf(document, {}).startswith(b"%PDF")
