"""Pages without a browser: they work as plain forms, and name what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from inspection import services
from inspection.models import Inspection
from modelzoo.models import Deployment, ModelVersion
from mvtec_site.templatetags.pages import region_boxes
from records.models import Asset
from tests import parts

pytestmark = pytest.mark.django_db


@pytest.fixture
def record(version: ModelVersion, deployment: Deployment) -> Inspection:
    return services.inspect_here(
        data=parts.png(3, defective=True),
        filename="cell <b>3</b>.png",
        version=version,
        source="command",
        actor=None,
        part=services.PartContext(lot="L3"),
    )


def test_an_empty_system_explains_itself(signed_in: Client) -> None:
    page = signed_in.get("/").content.decode()
    assert "No model is loaded" in page
    assert "manage.py train" in page


def test_the_line_shows_what_is_loaded_and_the_last_inspections(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get("/").content.decode()
    assert "disc" in page
    assert "nobody judges" in page
    assert "DEFECT" in page
    assert reverse("inspection-thumbnail", args=[record.pk]) in page
    opened = signed_in.get("/", {"inspection": str(record.pk)}).content.decode()
    assert reverse("inspection-overlay", args=[record.pk]) in opened


@pytest.fixture
def odd(version: ModelVersion, deployment: Deployment, blank: bytes) -> Inspection:
    return services.inspect_here(
        data=blank, filename="empty.png", version=version, source="command", actor=None, part=services.PartContext()
    )


def test_a_defective_part_shows_its_regions_and_its_place(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get(reverse("inspection", args=[record.pk])).content.decode()
    assert record.regions
    assert page.count('<rect class="under"') == len(record.regions) == record.region_count
    assert f"<strong>{record.largest_region_px}</strong> px" in page
    assert "above all 12 held-out good parts" in page
    first = record.regions[0]
    assert f"{first['peak_x']}, {first['peak_y']}" in page
    assert re.search(rf"{first['width']} .{{1,7}} {first['height']}\b", page)


def test_what_cannot_be_compared_looks_like_neither_verdict(signed_in: Client, odd: Inspection) -> None:
    for path in (reverse("inspection", args=[odd.pk]), f"{reverse('line')}?inspection={odd.pk}"):
        page = signed_in.get(path).content.decode()
        assert "NOT COMPARABLE" in page
        assert "DEFECT<" not in page
        assert "GOOD<" not in page
        assert "No part can be told from the background." in page
        assert "Lay one part in the middle" in page
        assert reverse("inspection-image", args=[odd.pk]) in page
        for gone in (
            reverse("inspection-overlay", args=[odd.pk]),
            reverse("inspection-map", args=[odd.pk]),
            "show-map",
        ):
            assert gone not in page
        assert "None" not in page
    assert "no score" in signed_in.get(reverse("line-status")).content.decode()


def test_the_inspection_page_says_how_the_image_was_prepared(signed_in: Client, record: Inspection) -> None:
    address = reverse("inspection", args=[record.pk])
    ModelVersion.objects.update(preprocessing={})
    assert "illumination" not in signed_in.get(address).content.decode()
    ModelVersion.objects.update(
        preprocessing={
            "illumination": {"chosen": "flatfield", "because": "the lamp <i>drifts</i>"},
            "align": {"chosen": "pose", "because": "it was asked for"},
        }
    )
    page = signed_in.get(address).content.decode()
    assert "illumination: <strong>flat field</strong>" in page
    assert "pose: <strong>aligned</strong>" in page
    assert "the lamp &lt;i&gt;drifts" in page


def test_boxes_stay_inside_the_image_and_numbers_can_be_read() -> None:
    corners = [(0, 0), (0, 99), (199, 0), (199, 99), (100, 50)]
    regions = [{"x": x, "y": y, "width": 1, "height": 1} for x, y in corners]
    boxes = region_boxes(Inspection(asset=Asset(width=200, height=100), regions=regions))
    for (x, y), box in zip(corners, boxes, strict=True):
        assert 0 <= box["x"] <= x < box["x"] + box["width"] <= 200
        assert 0 <= box["y"] <= y < box["y"] + box["height"] <= 100
        assert box["text"] <= box["baseline"] <= 100
        assert 0 <= box["left"] <= 200 - box["text"]


@pytest.mark.parametrize("wanted", ["x", "00000000-0000-0000-0000-000000000000", "' OR 1=1"])
def test_a_link_to_nothing_opens_the_line(signed_in: Client, wanted: str) -> None:
    assert signed_in.get("/", {"inspection": wanted}).status_code == 200


def test_file_names_are_text(signed_in: Client, record: Inspection) -> None:
    for path in ("/", reverse("inspection", args=[record.pk])):
        assert "<b>3</b>" not in signed_in.get(path).content.decode()


def test_the_inspection_page_says_everything_that_was_in_force(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get(reverse("inspection", args=[record.pk])).content.decode()
    for fact in (
        record.asset.sha256,
        record.model_version.artifact_sha256,
        record.backbone_sha256,
        "revision 1",
        "lot L3",
        str(record.pk),
    ):
        assert fact in page
    missing = signed_in.get("/inspections/00000000-0000-0000-0000-000000000000/")
    assert missing.status_code == 404
    assert "leads nowhere" in missing.content.decode()


def test_a_form_without_scripts_says_what_is_wrong(signed_in: Client, deployment: Deployment) -> None:
    nothing = signed_in.post("/inspect")
    assert nothing.status_code == 400
    assert "Choose an image" in nothing.content.decode()
    junk = signed_in.post("/inspect", {"image": SimpleUploadedFile("a.png", b"junk")})
    assert junk.status_code == 415
    assert "was not judged" in junk.content.decode()


def test_htmx_gets_the_partial_alone(signed_in: Client, deployment: Deployment) -> None:
    answer = signed_in.post("/inspect", {"image": SimpleUploadedFile("a.png", b"junk")}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert text.strip().startswith('<div id="result"')
    assert 'role="alert"' in text


def test_no_page_reaches_for_another_origin(signed_in: Client, record: Inspection) -> None:
    for path in ("/", reverse("inspection", args=[record.pk]), "/login/"):
        response = signed_in.get(path)
        if response.status_code == 302:
            continue
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', response.content.decode())
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


def test_no_template_has_inline_scripts_or_styles() -> None:
    for path in Path("templates").rglob("*.html"):
        if "report" in path.parts:  # a document that is sent around, not a page of this site
            continue
        text = path.read_text()
        assert "<style" not in text
        assert not re.search(r"<script(?![^>]*src=)", text), path
        assert not re.search(r"\son\w+=", text), path
        assert not re.search(r"\sstyle=", text), path


ADMIN = ["records/auditevent", "records/asset", "accounts/apitoken", "modelzoo/category", "modelzoo/modelversion"]
ADMIN += ["modelzoo/threshold", "modelzoo/deployment", "training/dataset", "training/datasetimage"]
ADMIN += ["training/trainingrun", "training/evaluation", "inspection/inspection", "inspection/inspectionrequest"]
ADMIN += ["inspection/batchrun"]


@pytest.mark.parametrize("name", ADMIN)
def test_every_model_is_in_the_admin_and_nothing_is_edited_there(
    admin_user: User, record: Inspection, name: str
) -> None:
    client = Client()
    client.force_login(admin_user)
    listed = client.get(f"/admin/{name}/", {"q": "a"} if name != "training/evaluation" else {})
    assert listed.status_code == 200
    assert client.get(f"/admin/{name}/add/").status_code == 403


def test_the_admin_cannot_delete_a_record(admin_user: User, record: Inspection) -> None:
    client = Client()
    client.force_login(admin_user)
    detail: Any = client.get(f"/admin/inspection/inspection/{record.pk}/change/")
    assert detail.status_code == 200
    assert client.post(f"/admin/inspection/inspection/{record.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Inspection.objects.filter(pk=record.pk).exists()
