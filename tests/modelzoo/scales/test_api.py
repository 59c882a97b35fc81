"""Calibrations and size rules over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from modelzoo.models import ModelVersion, ScaleCalibration
from tests import parts
from tests.boards import photograph
from tests.inspection.judging.test_services import inspect
from tests.modelzoo.scales.test_services import picture_of

pytestmark = pytest.mark.django_db

PATH = "/api/categories/disc/calibrations"


def length(stored: str, **more: Any) -> dict[str, Any]:
    return {
        "method": "known_length",
        "station": "east",
        "picture": stored,
        "points": [[10, 20], [90, 20]],
        "length_mm": 8,
        "reason": "gauge G7",
    } | more


@pytest.fixture
def stored(signed_in: Client, version: ModelVersion) -> str:
    image = SimpleUploadedFile("gauge.png", parts.png(1), "image/png")
    answer = signed_in.post("/api/calibration-pictures", {"image": image})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["width"], answer.json()["height"]) == (parts.SIDE, parts.SIDE)
    sha256: str = answer.json()["sha256"]
    return sha256


def post(client: Client, body: dict[str, Any]) -> Any:
    return client.post(PATH, body, content_type="application/json")


def test_a_station_is_calibrated_and_withdrawn(signed_in: Client, stored: str) -> None:
    assert signed_in.get(PATH).json()["results"] == []
    answer = post(signed_in, length(stored))
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["mm_per_px"], made["in_force"], made["revision"], made["author"]) == (0.1, True, 1, "olga")
    assert post(signed_in, length(stored, length_mm=16)).json()["mm_per_px"] == 0.2
    assert [row["in_force"] for row in signed_in.get(PATH).json()["results"]] == [True, False]
    assert signed_in.get(f"{PATH}?station=west").json()["results"] == []
    answer = post(signed_in, {"method": "withdrawn", "station": "east", "reason": "moved"})
    assert (answer.status_code, answer.json()["mm_per_px"], answer.json()["in_force"]) == (201, None, False)
    answer = post(signed_in, {"method": "withdrawn", "station": "east", "reason": "moved"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_calibrated")


def test_a_checkerboard_is_measured(signed_in: Client, version: ModelVersion) -> None:
    picture = picture_of(photograph(square_px=40, size=(500, 400), columns=7, rows=5, tilt=0.1))
    body = {
        "method": "checkerboard",
        "picture": picture.sha256,
        "columns": 7,
        "rows": 5,
        "square_mm": 8,
        "reason": "new lens",
    }
    made = post(signed_in, body).json()
    assert made["mm_per_px"] == pytest.approx(0.2, rel=0.02)
    assert made["is_uneven"]
    assert len(made["warnings"]) == 1
    answer = post(signed_in, body | {"columns": 9})
    assert (answer.status_code, answer.json()["code"]) == (400, "calibration_refused")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"points": [[10, 20]]}, 400, "calibration_refused"),
        ({"points": [[10, 20], [10, 21]]}, 400, "calibration_refused"),
        ({"points": [[10, 20], [1000, 21]]}, 400, "calibration_refused"),
        ({"points": "far"}, 400, "invalid"),
        ({"points": [[1, 2, 3], [4, 5]]}, 400, "invalid"),
        ({"points": [[1, "a"], [4, 5]]}, 400, "invalid"),
        ({"length_mm": None}, 400, "calibration_refused"),
        ({"length_mm": -2}, 400, "calibration_refused"),
        ({"picture": ""}, 400, "calibration_refused"),
        ({"picture": "f" * 64}, 404, "picture_not_found"),
        ({"method": "guess"}, 400, "invalid"),
        ({"method": "checkerboard"}, 400, "calibration_refused"),
        ({"reason": ""}, 400, "invalid"),
        ({"station": "x" * 101}, 400, "invalid"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(
    signed_in: Client, stored: str, changed: dict[str, Any], status: int, code: str
) -> None:
    answer = post(signed_in, length(stored, **changed))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert not ScaleCalibration.objects.exists()


def test_a_picture_of_a_record_serves_too(signed_in: Client, version: ModelVersion) -> None:
    record = inspect(version, station="east")
    assert post(signed_in, length(record.asset.sha256)).status_code == 201
    answer = signed_in.get(f"/api/inspections/{inspect(version, defective=True, station='east').pk}").json()
    assert (answer["mm_per_px"], answer["min_region_mm2"], answer["size_note"]) == (0.1, None, "")
    assert answer["regions"][0]["area_mm2"] == pytest.approx(answer["regions"][0]["area_px"] * 0.01)
    assert answer["largest_region_mm2"] == pytest.approx(answer["largest_region_px"] * 0.01)


def test_what_is_no_picture_is_refused(signed_in: Client, version: ModelVersion) -> None:
    answer = signed_in.post("/api/calibration-pictures", {"image": SimpleUploadedFile("a.png", b"nothing")})
    assert answer.status_code in (400, 415, 422), answer.content
    assert signed_in.post("/api/calibration-pictures", {}).status_code == 400


def test_a_size_rule_is_read_and_set(signed_in: Client, stored: str, version: ModelVersion, operator: User) -> None:
    path = f"/api/model-versions/{version.pk}/size-rule"
    assert signed_in.get(path).json()["min_area_mm2"] is None
    rule = {"min_area_mm2": 0.5, "grades": [{"name": "minor"}, {"name": "bad", "min_area_mm2": 4}], "reason": "agreed"}

    def put(body: dict[str, Any], client: Client = signed_in) -> Any:
        return client.put(path, body, content_type="application/json")

    answer = put(rule)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_calibrated")
    post(signed_in, length(stored))
    inspect(version, station="west")
    answer = put(rule)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["min_area_mm2"], found["threshold"]["revision"], found["threshold"]["min_region_mm2"]) == (
        0.5,
        2,
        0.5,
    )
    assert found["stations_without_calibration"] == ["west"]
    assert found["grades"][1] == {"name": "bad", "min_area_mm2": 4.0, "min_peak": 0.0}
    assert signed_in.get(path).json() == found
    assert (put(rule).status_code, put(rule).json()["code"]) == (409, "size_rule_unchanged")
    for body in ({"min_area_mm2": 0}, {"grades": [{"name": ""}]}, {"min_area_mm2": "big"}, {"grades": {"a": 1}}):
        assert put(body | {"reason": "x"}).status_code == 400, body
    assert put({"reason": "over"}).json()["min_area_mm2"] is None
    client = Client()
    client.force_login(operator)
    assert put(rule, client).status_code == 403
