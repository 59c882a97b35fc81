"""The page of a report, its files, and the pictures on it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from modelzoo.models import ModelVersion
from tests.inspection.judging.test_services import inspect

pytestmark = pytest.mark.django_db


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_present_shift_and_the_one_before(version: ModelVersion, signed_in: Client) -> None:
    inspect(version)
    page = text(signed_in, "/reports/?category=disc&station=")
    assert "Shift report: disc" in page
    assert "so far: the window is not over" in page
    assert "Next shift" not in page
    assert f"{version}" in page
    before = signed_in.get("/reports/?category=disc").context["before"]
    assert "category=disc" in before.query
    page = text(signed_in, f"/reports/?{before.query}")
    assert "Next shift" in page
    assert "so far" not in page
    assert "Nothing was inspected." in page


def test_files_are_of_what_the_page_shows(version: ModelVersion, signed_in: Client, operator: User) -> None:
    inspect(version, lot="L7")
    page = text(signed_in, "/reports/?kind=lot&lot=L7")
    assert "/api/report/pdf?kind=lot&amp;lot=L7" in page
    other = Client()
    other.force_login(operator)
    pdf = other.get("/api/report/pdf?kind=lot&lot=L7")
    assert (pdf.status_code, pdf["Content-Type"]) == (200, "application/pdf")
    table = other.get("/api/report/csv?kind=lot&lot=L7")
    assert "Lot report: all categories, lot L7" in table.content.decode()
    assert other.get("/api/report?kind=lot&lot=L7").json()["counts"]["records"] == 1


def test_what_is_wrong_is_said(signed_in: Client, db: None) -> None:
    answer = signed_in.get("/reports/?kind=lot&lot=nothing")
    assert answer.status_code == 404
    assert "There is no record of lot nothing." in answer.content.decode()
    assert signed_in.get("/reports/?kind=period").status_code == 400
    wrong = signed_in.get("/api/report?kind=lot&lot=nothing")
    assert (wrong.status_code, wrong.json()["code"]) == (404, "lot_not_found")
    assert signed_in.get("/api/report?kind=year").status_code == 400
    assert signed_in.get("/api/report/csv?since=2026").json()["code"] == "invalid"


def test_pictures_have_the_map_and_never_change(version: ModelVersion, signed_in: Client) -> None:
    record = inspect(version, defective=True)
    answer = signed_in.get(f"/reports/pictures/{record.pk}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    assert "immutable" in answer["Cache-Control"]
    plain = signed_in.get(f"/api/inspections/{record.pk}/thumbnail")
    assert answer.content != plain.getvalue()
    record.asset.__class__.objects.filter(pk=record.asset_id).update(discarded_at=timezone.now())
    assert signed_in.get(f"/reports/pictures/{record.pk}").status_code == 410
    assert signed_in.get("/reports/pictures/00000000-0000-0000-0000-000000000000").status_code == 404
