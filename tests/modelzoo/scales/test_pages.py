"""The page of calibrations and the form of a size rule, without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from modelzoo.evaluation.region_sizes import Grade, SizeRule
from modelzoo.models import ModelVersion, ScaleCalibration
from modelzoo.scales import services
from modelzoo.selectors import threshold_in_force
from records.models import Asset
from tests import parts
from tests.boards import photograph
from tests.inspection.judging.test_services import inspect
from tests.modelzoo.scales.test_services import calibrate, picture_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(version: ModelVersion) -> str:
    return reverse("scales", args=["disc"])


@pytest.fixture
def picture(version: ModelVersion) -> Asset:
    return services.store_picture(data=parts.png(1), filename="gauge.png", actor=None)


def typed(asset: Asset, **more: Any) -> dict[str, Any]:
    return {
        "method": "known_length",
        "station": "east",
        "picture": asset.sha256,
        **{"x1": "10", "y1": "20", "x2": "90", "y2": "20"},
        **{"length_mm": "8", "length_error_mm": "0", "point_error_px": "1", "reason": "gauge G7"},
        **more,
    }


def test_from_an_upload_to_a_scale_by_typing_points(signed_in: Client, path: str) -> None:
    assert "No station is calibrated." in signed_in.get(path).content.decode()
    image = SimpleUploadedFile("gauge.png", parts.png(1), "image/png")
    answer = signed_in.post(reverse("scale-picture", args=["disc"]), {"station": "east", "image": image})
    assert answer.status_code == 302
    page = signed_in.get(answer["Location"]).content.decode()
    assert 'value="east"' in page
    picture = Asset.objects.get(sha256=page.partition("/models/scale-pictures/")[2][:64])
    shown = signed_in.get(reverse("scale-picture-file", args=[picture.sha256]))
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/png")
    answer = signed_in.post(path, typed(picture), follow=True)
    assert "east: 0.1 mm per pixel, standard uncertainty 1.8 %" in answer.content.decode()
    row = ScaleCalibration.objects.get()
    assert (row.station, row.mm_per_px, row.parameters["points"]) == ("east", 0.1, [[10, 20], [90, 20]])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"x2": ""}, "Second point, x: This field is required"),
        ({"x2": "500"}, "lies outside of the picture"),
        ({"length_mm": "long"}, "Length between them (mm): Enter a number"),
        ({"reason": ""}, "Reason: This field is required"),
        ({"picture": "f" * 64}, "No stored picture has the hash"),
        ({"method": "guess"}, "Unknown method"),
    ],
)
def test_what_was_typed_wrong_is_told_and_stays(
    signed_in: Client, path: str, picture: Asset, changed: dict[str, str], sentence: str
) -> None:
    answer = signed_in.post(path, typed(picture, **changed))
    assert answer.status_code in (400, 404)
    page = answer.content.decode()
    assert sentence in page
    assert "Nothing was changed" in page
    assert not ScaleCalibration.objects.exists()


def test_a_checkerboard_and_its_warning(signed_in: Client, path: str) -> None:
    tilted = picture_of(photograph(square_px=40, size=(500, 400), columns=7, rows=5, tilt=0.1))
    board = {"method": "checkerboard", "station": "", "picture": tilted.sha256, "reason": "new lens"}
    board |= {"columns": "7", "rows": "5", "square_mm": "8"}
    page = signed_in.post(path, board, follow=True).content.decode()
    assert "the camera looks at an angle, or its lens distorts" in page
    assert "no station" in page
    refused = signed_in.post(path, board | {"columns": "9"})
    assert refused.status_code == 400
    assert "No checkerboard with 9 x 5 inner corners was found" in refused.content.decode()


def test_a_calibration_is_withdrawn(signed_in: Client, path: str, version: ModelVersion, picture: Asset) -> None:
    calibrate(version.category, picture, station="east", first=(0, 0), second=(90, 0))
    answer = signed_in.post(path, {"method": "withdrawn", "station": "east", "reason": "hit"}, follow=True)
    assert "The calibration of east was withdrawn." in answer.content.decode()
    assert signed_in.post(path, {"method": "withdrawn", "station": "east", "reason": "hit"}).status_code == 409


def test_operators_look_and_do_not_calibrate(operator: User, path: str, picture: Asset) -> None:
    client = Client()
    client.force_login(operator)
    page = client.get(f"{path}?picture={picture.sha256}")
    assert page.status_code == 200
    assert "data-scale-editor" not in page.content.decode()
    assert client.post(path, typed(picture)).status_code == 403
    assert client.post(reverse("scale-picture", args=["disc"]), {}).status_code == 403


def test_addresses_that_mean_nothing(signed_in: Client, path: str) -> None:
    assert signed_in.get(reverse("scales", args=["nothing"])).status_code == 404
    assert signed_in.get(f"{path}?picture=x").status_code == 404
    assert signed_in.get(reverse("scale-picture-file", args=["0" * 64])).status_code == 404
    assert signed_in.post(reverse("scale-picture", args=["disc"]), {}).status_code == 400


# ---------------------------------------------------------------- the size rule
def test_the_rule_is_set_on_its_page_and_shown_on_the_threshold(
    signed_in: Client, version: ModelVersion, picture: Asset
) -> None:
    rule, threshold = reverse("size-rule", args=[version.pk]), reverse("threshold", args=[version.pk])
    assert "No size rule." in signed_in.get(threshold).content.decode()
    sent = {"min_area_mm2": "0.5", "grade_1": "minor", "grade_2": "critical", "area_2": "4", "reason": "agreed"}
    refused = signed_in.post(rule, sent)
    assert refused.status_code == 409
    assert 'value="critical"' in refused.content.decode(), "what was typed stays"
    calibrate(version.category, picture, station="east", first=(0, 0), second=(90, 0))
    inspect(version, station="west")
    assert "<strong>west</strong>" in signed_in.get(rule).content.decode()
    page = signed_in.post(rule, sent, follow=True).content.decode()
    assert "Regions below 0.5 mm² are ignored." in page
    assert "critical: 4 mm² or more." in page
    assert threshold_in_force(version.pk).size_rule == SizeRule(0.5, (Grade("minor"), Grade("critical", 4.0)))
    assert 'value="critical"' in signed_in.get(rule).content.decode()
    assert signed_in.post(rule, sent | {"area_2": "much"}).status_code == 400
    empty = signed_in.post(rule, {"reason": "over"}, follow=True).content.decode()
    assert "No size rule." in empty


def test_grades_beyond_the_form_stay(signed_in: Client, version: ModelVersion, picture: Asset) -> None:
    calibrate(version.category, picture, first=(0, 0), second=(90, 0))
    grades = tuple(Grade(f"grade {n}", float(n)) for n in range(1, 6))
    services.set_size_rule(version=version, rule=SizeRule(None, grades), reason="API", actor=None)
    sent = {"min_area_mm2": "2", "reason": "x"}
    for place, grade in enumerate(grades[:3], start=1):
        sent |= {f"grade_{place}": grade.name, f"area_{place}": str(grade.min_area_mm2)}
    assert signed_in.post(reverse("size-rule", args=[version.pk]), sent).status_code == 302
    assert threshold_in_force(version.pk).size_rule == SizeRule(2.0, grades)


def test_the_page_of_a_record_shows_sizes_and_the_rule(
    signed_in: Client, version: ModelVersion, picture: Asset
) -> None:
    calibrate(version.category, picture, mm=9, first=(0, 0), second=(90, 0))
    services.set_size_rule(version=version, rule=SizeRule(1000.0), reason="agreed", actor=None)
    record = inspect(version, defective=True)
    page = signed_in.get(reverse("inspection", args=[record.pk])).content.decode()
    assert record.outcome == "good"
    assert "below 1000 mm² ignored." in page
    assert " mm²" in page
    assert "0.1 mm per pixel" in page
    assert "&gt;\n" in page, "the score is above the threshold, whatever the verdict"
    other = signed_in.get(reverse("inspection", args=[inspect(version, defective=True, station="west").pk]))
    assert "The size rule was not applied: pictures of 96 x 96 pixels of station west" in other.content.decode()
