"""Calibrations of stations, and the size rule of a threshold: revisions, refusals, and what the audit log says."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import Conflict, NotFound, UserError
from common.rights import Forbidden
from modelzoo.evaluation.region_sizes import Grade, SizeRule
from modelzoo.models import Category, ModelVersion, ScaleCalibration
from modelzoo.scales import services
from modelzoo.scales.selectors import missing_size_rule, scale_for, scales_in_force, stations_without_scale
from modelzoo.selectors import threshold_in_force
from modelzoo.services import append_threshold, set_threshold
from modelzoo.signatures.selectors import Act, SignatureRequired
from modelzoo.signatures.services import set_signature_rules
from records.audit.chain.audited_rows import verify_all
from records.audit.sentences import names_in, sentence_of
from records.models import Asset, AuditEvent
from retention.selectors import discardable, live_assets
from tests.boards import photograph
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.triggers import without_any_triggers
from tests.versions import another
from tuning.what_if.services import undo_threshold

pytestmark = pytest.mark.django_db


def picture_of(pixels: Any, actor: User | None = None) -> Asset:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return services.store_picture(data=out.getvalue(), filename="gauge.png", actor=actor)


@pytest.fixture
def category(version: ModelVersion) -> Category:
    return version.category


@pytest.fixture
def picture(db: None) -> Asset:
    return picture_of(photograph(square_px=40, size=(500, 400), columns=7, rows=5))


def calibrate(category: Category, picture: Asset, *, station: str = "", mm: float = 20.0, **more: Any) -> Any:
    """100 pixels are `mm` millimetres."""
    ends: dict[str, Any] = {"first": (10, 20), "second": (110, 20)}
    return services.calibrate_by_length(
        category=category,
        station=station,
        picture=picture,
        length_mm=mm,
        **({"reason": "gauge block", "actor": None} | ends | more),
    )


def sentence(kind: str) -> str:
    event = AuditEvent.objects.filter(kind=kind).latest("sequence")
    return str(sentence_of(event, names_in([event])))


def test_a_length_calibrates_one_station(category: Category, picture: Asset, user: User) -> None:
    row = calibrate(category, picture, station=" east ", actor=user)
    assert (row.station, row.revision, row.method, row.mm_per_px) == ("east", 1, "known_length", 0.2)
    assert row.uncertainty_percent == pytest.approx(100 * 2**0.5 / 100)
    assert (row.width, row.height, row.picture, row.author) == (500, 400, picture, user)
    assert row.parameters["points"] == [[10, 20], [110, 20]]
    scales = scales_in_force(category.pk)
    assert scale_for(scales, station="east", width=500, height=400) == row
    assert scale_for(scales, station="west", width=500, height=400) is None, "no station takes another one's"
    assert scale_for(scales, station="", width=500, height=400) is None
    assert scale_for(scales, station="east", width=1000, height=800) is None, "other pixels"
    assert sentence("calibration.set") == (
        "olga calibrated station east of disc with a known length: 0.2 mm per pixel: gauge block"
    )


def test_a_checkerboard_calibrates(category: Category, picture: Asset) -> None:
    row = services.calibrate_by_checkerboard(
        category=category,
        station="east",
        picture=picture,
        columns=7,
        rows=5,
        square_mm=8,
        reason="new lens",
        actor=None,
    )
    assert row.mm_per_px == pytest.approx(0.2, rel=1e-3)
    assert row.variation_percent is not None
    assert not row.is_uneven
    assert row.warnings == []
    assert row.parameters["squares"] == 24
    tilted = picture_of(photograph(square_px=40, size=(500, 400), columns=7, rows=5, tilt=0.1))
    row = services.calibrate_by_checkerboard(
        category=category, station="east", picture=tilted, columns=7, rows=5, square_mm=8, reason="moved", actor=None
    )
    assert row.is_uneven
    assert "the camera looks at an angle" in row.warnings[0]
    with pytest.raises(UserError, match=r"No checkerboard with 9 x 9 .* Nothing was changed"):
        services.calibrate_by_checkerboard(
            category=category, station="east", picture=picture, columns=9, rows=9, square_mm=8, reason="x", actor=None
        )
    assert ScaleCalibration.objects.count() == 2
    with pytest.raises(UserError, match="needs a reason"):
        services.calibrate_by_checkerboard(
            category=category, station="", picture=picture, columns=7, rows=5, square_mm=8, reason=" ", actor=None
        )


def test_a_withdrawn_scale_measures_nothing(category: Category, picture: Asset) -> None:
    calibrate(category, picture, station="east")
    row = services.withdraw_calibration(category=category, station="east", reason="camera was hit", actor=None)
    assert (row.revision, row.mm_per_px, row.picture) == (2, None, None)
    assert scales_in_force(category.pk) == {}
    assert sentence("calibration.withdrawn") == (
        "The system withdrew the calibration of station east of disc: camera was hit"
    )
    with pytest.raises(Conflict, match="east has no calibration of disc"):
        services.withdraw_calibration(category=category, station="east", reason="again", actor=None)
    calibrate(category, picture, station="east", mm=10)
    assert scales_in_force(category.pk)["east"].revision == 3


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(["", "east", "west"]), st.none() | st.floats(1, 90)), max_size=8))
def test_the_newest_of_each_station_is_in_force(category: Category, picture: Asset, acts: list[Any]) -> None:
    """Against a plain dictionary, over any order of calibrating and withdrawing."""
    with transaction.atomic():
        expected: dict[str, float] = {}
        revisions = {"": 0, "east": 0, "west": 0}
        for station, mm in acts:
            if mm is None and station not in expected:
                with pytest.raises(Conflict):
                    services.withdraw_calibration(category=category, station=station, reason="x", actor=None)
                continue
            revisions[station] += 1
            if mm is None:
                row = services.withdraw_calibration(category=category, station=station, reason="x", actor=None)
                del expected[station]
            else:
                row = calibrate(category, picture, station=station, mm=mm)
                expected[station] = mm / 100
            assert row.revision == revisions[station]
        found = {station: row.mm_per_px for station, row in scales_in_force(category.pk).items()}
        assert found == pytest.approx(expected)
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"first": (-1, 5)}, "lies outside of the picture of 500 x 400"),
        ({"second": (501, 5)}, "lies outside"),
        ({"second": (12, 20)}, "too near"),
        ({"mm": 0.0}, "above 0"),
        ({"reason": ""}, "needs a reason"),
        ({"station": "x" * 101}, "up to 100 characters"),
    ],
)
def test_what_gives_no_scale_changes_nothing(
    category: Category, picture: Asset, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        calibrate(category, picture, **options)
    assert not ScaleCalibration.objects.exists()


def test_who_may_not_tune_calibrates_nothing(category: Category, picture: Asset, operator: User) -> None:
    with pytest.raises(Forbidden):
        calibrate(category, picture, actor=operator)
    with pytest.raises(Forbidden):
        services.withdraw_calibration(category=category, station="", reason="x", actor=operator)
    with pytest.raises(Forbidden):
        services.store_picture(data=b"", filename="a.png", actor=operator)
    with pytest.raises(NotFound, match="No stored picture"):
        services.find_picture("0" * 64)


def test_revisions_cannot_be_changed(category: Category, picture: Asset) -> None:
    row = calibrate(category, picture)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ScaleCalibration.objects.update(mm_per_px=1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        ScaleCalibration.objects.all().delete()
    for name, fields in (
        ("calibration_has_its_scale_and_picture", {"mm_per_px": None}),
        ("calibration_has_its_scale_and_picture", {"mm_per_px": 0.0}),
        ("calibration_has_its_scale_and_picture", {"picture": None}),
        ("calibration_has_its_scale_and_picture", {"method": "withdrawn"}),
        ("calibration_variation_is_that_of_a_board", {"variation_percent": 1.0}),
        ("calibration_has_a_reason", {"reason": ""}),
        ("calibration_method_is_known", {"method": "guess"}),
        ("calibration_revision_from_one", {"revision": 0}),
    ):
        copy = ScaleCalibration.objects.get(pk=row.pk)
        copy.pk, copy.revision = None, 2
        for field, value in fields.items():
            setattr(copy, field, value)
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            copy.save(force_insert=True)


def test_the_chain_vouches_for_calibrations(category: Category, picture: Asset) -> None:
    calibrate(category, picture, station="east")
    attest_people()
    assert verify_all().sentence == ""
    with without_any_triggers():
        ScaleCalibration.objects.update(mm_per_px=0.3)
    assert "modelzoo.scalecalibration" in verify_all().sentence


def test_retention_leaves_the_pictures_of_calibrations(category: Category, picture: Asset) -> None:
    from django.utils import timezone

    assert picture in discardable(now=timezone.now(), orphan_days=0)
    calibrate(category, picture)
    assert picture in live_assets()
    assert picture not in discardable(now=timezone.now(), orphan_days=0)


# ---------------------------------------------------------------- the size rule
RULE = SizeRule(0.5, (Grade("minor"), Grade("critical", 4.0)))


def test_a_rule_is_a_revision_of_the_threshold(
    version: ModelVersion, category: Category, picture: Asset, user: User
) -> None:
    before = threshold_in_force(version.pk)
    with pytest.raises(Conflict, match="No station of disc has a calibration") as refused:
        services.set_size_rule(version=version, rule=RULE, reason="agreed", actor=user)
    assert refused.value.code == "not_calibrated"
    calibrate(category, picture)
    revision = services.set_size_rule(version=version, rule=RULE, reason="agreed", actor=user)
    assert (revision.revision, revision.value, revision.method) == (2, before.value, before.method)
    assert revision.size_rule == RULE
    event = AuditEvent.objects.filter(kind="threshold.set").latest("sequence")
    assert '"min_region_mm2":0.5' in event.after.replace(" ", "")
    assert sentence("threshold.set").endswith("; regions below 0.5 mm2 are ignored, grades minor and critical: agreed")
    with pytest.raises(Conflict, match="in force already"):
        services.set_size_rule(version=version, rule=RULE, reason="again", actor=user)
    attest_people()
    assert verify_all().sentence == ""


def test_a_new_value_keeps_the_rule_and_undoing_restores_it(
    version: ModelVersion, category: Category, picture: Asset
) -> None:
    calibrate(category, picture)
    services.set_size_rule(version=version, rule=RULE, reason="agreed", actor=None)
    moved = set_threshold(version=version, value=9.0, method="manual", reason="lot 7", actor=None)
    assert moved.size_rule == RULE
    without = services.set_size_rule(version=version, rule=SizeRule(), reason="not agreed after all", actor=None)
    assert (without.size_rule.is_empty, without.value) == (True, 9.0)
    undone = undo_threshold(version=version, revision=without.revision, reason="agreed again", actor=None)
    assert (undone.size_rule, undone.value) == (RULE, 9.0)
    # Without a calibration a rule can still be taken away, and the value moved.
    services.withdraw_calibration(category=category, station="", reason="moved", actor=None)
    assert append_threshold(version=version, value=8.0, method="manual", reason="x", actor=None).size_rule == RULE
    services.set_size_rule(version=version, rule=SizeRule(), reason="over", actor=None)


def test_a_rule_needs_what_a_threshold_needs(
    version: ModelVersion, category: Category, picture: Asset, operator: User, user: User, administrator: User
) -> None:
    calibrate(category, picture)
    with pytest.raises(Forbidden):
        services.set_size_rule(version=version, rule=RULE, reason="x", actor=operator)
    with pytest.raises(UserError, match="needs a reason"):
        services.set_size_rule(version=version, rule=RULE, reason="", actor=user)
    with pytest.raises(UserError, match=r"above 0\. Nothing was changed"):
        services.set_size_rule(version=version, rule=SizeRule(-1), reason="x", actor=user)
    set_signature_rules(category=category, acts=frozenset({Act.THRESHOLD}), reason="SOP", actor=administrator)
    with pytest.raises(SignatureRequired):
        services.set_size_rule(version=version, rule=RULE, reason="x", actor=user)
    assert threshold_in_force(version.pk).revision == 1


def test_a_version_without_the_rule_of_production_is_told(
    version: ModelVersion, deployment: Any, category: Category, picture: Asset
) -> None:
    other = another(version)
    assert missing_size_rule(other) is None
    calibrate(category, picture)
    services.set_size_rule(version=version, rule=RULE, reason="x", actor=None)
    assert missing_size_rule(other) == version
    assert missing_size_rule(version) is None
    services.set_size_rule(version=other, rule=RULE, reason="x", actor=None)
    assert missing_size_rule(other) is None


def test_stations_without_a_scale_are_named(version: ModelVersion, category: Category, picture: Asset) -> None:
    inspect(version, station="east")
    inspect(version)
    assert stations_without_scale(category) == ["", "east"]
    calibrate(category, picture, station="east")
    assert stations_without_scale(category) == [""]
