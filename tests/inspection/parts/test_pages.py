"""The pages of parts and their certificate."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from inspection.models import Inspection, PartInspection, PartLayout, PartRequest
from inspection.parts import selectors
from inspection.parts.certificate import RULE, draw_part_certificate
from inspection.parts.completion import sweep_parts
from inspection.parts.services import inspect_part, inspect_view
from inspection.reviews.services import record_review
from records.models import AuditEvent
from tests.inspection.parts.conftest import image, submission
from tests.inspection.parts.test_services import let_time_pass

pytestmark = pytest.mark.django_db


def a_part(**kinds: Any) -> PartRequest:
    images = [image("top"), image("left", 8, defective=True), image("right", 9)]
    return inspect_part(submission=submission("P1", lot="L1", serial_number="S1"), images=images)


def test_the_page_of_a_part(layout: PartLayout, worker: None, signed_in: Client) -> None:
    part = a_part()
    shown = signed_in.get(f"/parts/{part.pk}/").content.decode()
    for record in Inspection.objects.all():
        assert f"/inspections/{record.pk}/" in shown
        assert f"/api/inspections/{record.pk}/overlay" in shown
    assert "Defective: left." in shown
    assert "hx-get" not in shown.partition('id="part"')[2].partition(">")[0]
    record_page = signed_in.get(f"/inspections/{Inspection.objects.first().pk}/").content.decode()  # type: ignore[union-attr]
    assert f"/parts/{part.pk}/" in record_page


def test_the_page_of_an_open_part_asks_for_itself(layout: PartLayout, worker: None, signed_in: Client) -> None:
    part, _ = inspect_view(submission=submission("P1"), image=image("top"))
    shown = signed_in.get(f"/parts/{part.pk}/").content.decode()
    assert f'hx-get="/parts/{part.pk}/"' in shown
    assert "left, right" in shown
    fragment = signed_in.get(f"/parts/{part.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith('<div id="part"')
    let_time_pass("P1")
    sweep_parts()
    shown = signed_in.get(f"/parts/{part.pk}/").content.decode()
    assert "Missing: left, right." in shown


def test_there_is_no_such_page(signed_in: Client) -> None:
    for address in (f"/parts/{uuid.uuid4()}/", f"/parts/{uuid.uuid4()}/certificate.pdf", "/parts/layouts/of/none/"):
        assert signed_in.get(address).status_code == 404


def test_the_list_is_empty_at_first(signed_in: Client) -> None:
    assert b"No part of several views yet" in signed_in.get("/parts/").content
    assert signed_in.get("/parts/?cursor=x").status_code == 400


def test_the_list_shows_open_parts_and_records(layout: PartLayout, worker: None, signed_in: Client) -> None:
    a_part()
    inspect_view(submission=submission("P2"), image=image("top"))
    shown = signed_in.get("/parts/").content.decode()
    assert "Waiting for views" in shown
    assert "awaits left, right" in shown
    assert "No part matches" in signed_in.get("/parts/?lot=none").content.decode()


# ---------------------------------------------------------------- the certificate
def test_one_certificate_has_all_views(layout: PartLayout, worker: None, signed_in: Client, user: User) -> None:
    part = inspect_part(
        submission=submission("P1", lot="L1", serial_number="S1"),
        images=[image("top"), image("left", 8, defective=True), image("right", data=b"no image")],
    )
    answer = signed_in.get(f"/parts/{part.pk}/certificate.pdf")
    assert answer["Content-Type"] == "application/pdf"
    text = " ".join("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages).split())
    assert "Part certificate: DEFECT" in text
    assert "Defective: left. Refused: right." in text
    assert RULE in text
    for words in ("View top: GOOD", "View left: DEFECT", "View right: REFUSED", "S1", "L1"):
        assert words in text
    event = AuditEvent.objects.get(kind="part.recorded")
    assert event.hash in text.replace(" ", "")
    for record in Inspection.objects.all():
        assert record.asset.sha256 in text.replace(" ", "")
    made = AuditEvent.objects.get(kind="certificate.made")
    assert (made.object_id, made.actor_name) == (str(part.pk), "olga")


def test_the_same_part_moment_and_person_give_the_same_bytes(layout: PartLayout, worker: None) -> None:
    part, at = selectors.find_part(a_part().pk), timezone.now()
    event = AuditEvent.objects.get(kind="part.recorded")
    once, twice = (draw_part_certificate(part, event=event, at=at, by="olga") for _ in range(2))
    assert once == twice


def test_reviews_lead_on_page_and_certificate(layout: PartLayout, worker: None, signed_in: Client, user: User) -> None:
    part = a_part()
    record_review(
        inspection=Inspection.objects.get(part_view__view__name="left"), verdict="good", comment="a fibre", actor=user
    )
    shown = signed_in.get(f"/parts/{part.pk}/").content.decode()
    assert "after reviews" in shown
    assert "models: DEFECT" in shown
    assert "after reviews" in signed_in.get("/parts/").content.decode()
    data = signed_in.get(f"/parts/{part.pk}/certificate.pdf").content
    text = " ".join("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split())
    assert "Part certificate: GOOD, after reviews" in text
    assert "The models: DEFECT." in text
    assert "a fibre" in text
    assert PartInspection.objects.get().outcome == "defective"


# ---------------------------------------------------------------- layouts
def test_layouts_are_set_changed_and_retired_on_their_pages(version: Any, signed_in: Client) -> None:
    values = {"name": "housing", "views": "top, disc\nleft, disc, camera 2\n", "time_limit_seconds": 5, "reason": "new"}
    answer = signed_in.post("/parts/layouts/set", values)
    assert (answer.status_code, answer["Location"]) == (302, "/parts/layouts/of/housing/")
    shown = signed_in.get("/parts/layouts/of/housing/").content.decode()
    assert "left (disc, camera 2)" in shown
    assert "top, disc\nleft, disc, camera 2" in shown
    signed_in.post("/parts/layouts/set", values | {"views": "top, disc", "reason": "one camera"})
    assert PartLayout.objects.count() == 2
    assert signed_in.post("/parts/layouts/of/housing/retire", {"reason": ""}).status_code == 400
    assert signed_in.post("/parts/layouts/of/housing/retire", {"reason": "over"}).status_code == 302
    assert signed_in.post("/parts/layouts/of/housing/retire", {"reason": "over"}).status_code == 409
    assert "retired" in signed_in.get("/parts/layouts/").content.decode()


@pytest.mark.parametrize(
    ("changed", "status", "says"),
    [
        ({"views": "top"}, 400, "separated by a comma"),
        ({"views": "top, none"}, 404, "no category named"),
        ({"views": "top, disc, a, b"}, 400, "separated by a comma"),
        ({"views": "top, disc\ntop, disc"}, 400, "Two views"),
        ({"name": "a b"}, 400, "letters"),
        ({"time_limit_seconds": 0}, 422, ""),
        ({"reason": ""}, 422, ""),
    ],
)
def test_what_is_no_layout_is_told(
    version: Any, signed_in: Client, changed: dict[str, Any], status: int, says: str
) -> None:
    values = {"name": "housing", "views": "top, disc", "time_limit_seconds": 5, "reason": "new"}
    answer = signed_in.post("/parts/layouts/set", values | changed)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert not PartLayout.objects.exists()
