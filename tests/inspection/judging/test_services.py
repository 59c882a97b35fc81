"""Judging: one image ends in exactly one record or in an error; nothing is half-written."""

from __future__ import annotations

import errno
import json
import os
import uuid
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from PIL import Image
from scipy import ndimage

from common.errors import UserError
from inspection.judging import documents, services, worker
from inspection.models import Inspection, InspectionRequest
from jobs.errors import NoWorker
from modelzoo.anomaly_maps import decode_map
from modelzoo.detectors.base import Detector
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import Frame, PreparedImage
from modelzoo.evaluation import image_statistics
from modelzoo.loading import scoring
from modelzoo.models import InputCheckSettings, ModelVersion, Threshold
from modelzoo.services import set_input_checks, set_threshold
from records.assets.images import ImageRejected
from records.assets.services import receive_image
from records.models import Asset, AuditEvent
from records.storage.errors import NOTHING_KEPT, StorageFailed, StorageUnavailable
from tests import parts

pytestmark = pytest.mark.django_db


def inspect(version: ModelVersion, *, defective: bool = False, seed: int = 7, **part: str) -> Inspection:
    return services.inspect_here(
        data=parts.png(seed, defective=defective),
        submission=services.Submission(
            filename="a.png", source="command", actor=None, part=services.PartContext(**part)
        ),
        version=version,
    )


def score_of(record: Inspection) -> float:
    assert record.score is not None
    return record.score


def kept_map(record: Inspection) -> np.ndarray:
    assert record.map is not None
    assert record.map_maximum is not None
    return decode_map(record.map.read(), record.map_maximum)


def regions_of(record: Inspection) -> list[dict[str, Any]]:
    assert record.regions is not None
    return list(record.regions)


def test_a_good_and_a_defective_part(version: ModelVersion) -> None:
    good, bad = inspect(version), inspect(version, defective=True)
    assert not good.is_defective
    assert bad.is_defective
    for record in (good, bad):
        assert record.threshold == version.thresholds.get()
        assert record.confidence == abs(score_of(record) - record.threshold_value)
        assert record.backbone_sha256 == version.backbone_sha256
        assert record.timings["model_ms"] > 0


def test_the_record_keeps_image_and_map(version: ModelVersion) -> None:
    record = inspect(version, defective=True, lot="L7", serial_number="S1", station="east")
    assert record.asset.read() == parts.png(7, defective=True)
    restored = kept_map(record)
    assert restored.shape == (parts.SIDE, parts.SIDE), "the image's pixels, not the model's"
    assert restored.max() == pytest.approx(record.score, rel=1e-6)
    held = scoring.load_model(version)
    [scored] = scoring.score(held, [parts.png(7, defective=True)])
    assert isinstance(scored, scoring.ImageScore)
    assert np.abs(restored - scored.map()).max() <= score_of(record) / 65535
    document = documents.inspection_document(record, anomaly_map="full")
    assert np.abs(np.array(document["anomaly_map"]) - restored).max() <= score_of(record) * 1e-6
    assert (document["lot"], document["serial_number"], document["station"]) == ("L7", "S1", "east")


def test_the_record_keeps_what_the_picture_looks_like(version: ModelVersion, blank: bytes) -> None:
    record = inspect(version, seed=11)
    expected = image_statistics.record_statistics(np.asarray(parts.part(11)[0]))
    assert record.image_statistics is not None
    assert {name: record.image_statistics[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert record.image_statistics["likeness_distance"] > 0
    assert record.timings["statistics_ms"] >= 0
    assert documents.inspection_document(record)["image_statistics"] == record.image_statistics
    submission = services.Submission(filename="a.png", source="command", actor=None)
    refused = services.inspect_here(data=blank, submission=submission, version=version)
    assert refused.outcome == "not_comparable"
    assert refused.image_statistics is not None
    assert refused.image_statistics["brightness"] > 0


def test_the_same_image_is_stored_once(version: ModelVersion) -> None:
    first, second = inspect(version), inspect(version)
    assert first.asset == second.asset
    assert first.pk != second.pk
    assert Asset.objects.filter(sha256=first.asset.sha256).count() == 1


def test_a_new_threshold_judges_the_next_image_and_leaves_the_past(version: ModelVersion) -> None:
    before = inspect(version)
    raised = set_threshold(
        version=version, value=score_of(before) / 2, method=Threshold.Method.MANUAL, reason="test", actor=None
    )
    after = inspect(version)
    before.refresh_from_db()
    assert (before.is_defective, after.is_defective) == (False, True)
    assert (before.threshold.revision, after.threshold) == (1, raised)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_threshold_must_be_finite(version: ModelVersion, value: float) -> None:
    with pytest.raises(UserError, match="finite"):
        set_threshold(version=version, value=value, method="manual", reason="test", actor=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Threshold.objects.create(model_version=version, revision=9, value=value, method="manual", reason="x")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inspection_inspection SET score = 0, outcome = 'good'",
        "DELETE FROM inspection_inspection",
        "UPDATE modelzoo_threshold SET value = 0",
        "DELETE FROM modelzoo_threshold",
    ],
)
def test_records_and_thresholds_cannot_be_changed(version: ModelVersion, statement: str) -> None:
    inspect(version)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_record_cannot_name_another_models_threshold(version: ModelVersion) -> None:
    record = inspect(version)
    fields = {
        name: getattr(version, name)
        for name in ("category", "algorithm", "config", "dataset_name", "dataset_snapshot", "seed", "versions")
    }
    other = ModelVersion.objects.create(
        number=2, artifact="x", artifact_sha256="1" * 64, artifact_bytes=1, held_out_scores=[], **fields
    )
    request = InspectionRequest.objects.create(
        asset=record.asset, model_version=other, filename="b.png", source="web", status="running"
    )
    record.pk, record.request, record.model_version = uuid.uuid4(), request, other
    with pytest.raises(DatabaseError, match="another model version"), transaction.atomic():
        record.save(force_insert=True)


ODD = {"outcome": "not_comparable", "reason": "several_parts", "explanation": "There are two."}
NO_MAP = {"map_id": None, "map_maximum": None}
NOTHING = {"score": None, "p_value": None, "regions": None, "region_count": None, "largest_region_px": None} | NO_MAP

CONTRADICTIONS: list[tuple[str, dict[str, Any]]] = [
    ("outcome_is_known", {"outcome": "fine"}),
    ("verdict_follows_from_score", {"outcome": "defective", "region_count": 1}),
    ("verdict_follows_from_score", {"score": None}),
    ("verdict_follows_from_score", ODD | NOTHING | {"score": 1.0}),
    ("what_is_not_comparable_says_why", ODD | NOTHING | {"reason": ""}),
    ("what_is_not_comparable_says_why", ODD | NOTHING | {"explanation": ""}),
    ("what_is_not_comparable_says_why", {"reason": "several_parts"}),
    ("what_was_scored_has_a_map", NO_MAP),
    ("what_was_scored_has_a_map", ODD | NOTHING | {"map_maximum": 1.0}),
    ("p_value_is_a_probability", {"p_value": 0.0}),
    ("p_value_is_a_probability", {"p_value": 1.5}),
    ("p_value_is_a_probability", ODD | NOTHING | {"p_value": 0.5}),
    ("regions_are_those_of_a_defect", {"region_count": 1}),
    ("regions_are_those_of_a_defect", {"region_count": None}),
    ("regions_are_those_of_a_defect", ODD | NOTHING | {"region_count": 0}),
    ("regions_are_those_of_a_defect", ODD | NOTHING | {"regions": [], "region_count": 0, "largest_region_px": 0}),
]


def test_a_record_that_contradicts_itself_is_refused(version: ModelVersion) -> None:
    record = again(inspect(version))
    consistent = {field.attname: getattr(record, field.attname) for field in Inspection._meta.concrete_fields}
    for constraint, changes in CONTRADICTIONS:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Inspection(**consistent | changes).save(force_insert=True)
    Inspection(**consistent).save(force_insert=True)


def again(record: Inspection) -> Inspection:
    """The same record for another request, not saved."""
    record.request = InspectionRequest.objects.create(
        asset=record.asset, model_version=record.model_version, filename="b.png", source="web", status="running"
    )
    record.pk = uuid.uuid4()
    return record


def test_a_record_older_than_regions_and_p_value_is_accepted(version: ModelVersion) -> None:
    record = again(inspect(version))
    record.p_value = record.regions = record.region_count = record.largest_region_px = None
    record.save(force_insert=True)
    assert documents.inspection_document(record)["regions"] is None
    assert record.among_good_parts == ""


# ---------------------------------------------------------------- where a part stands and where its defects lie
def test_regions_are_found_in_the_pixels_of_the_image(version: ModelVersion) -> None:
    record = inspect(version, defective=True)
    [scored] = scoring.score(scoring.load_model(version), [parts.png(7, defective=True)])
    assert isinstance(scored, scoring.ImageScore)
    labels, count = ndimage.label(scored.map() > record.threshold_value, structure=np.ones((3, 3)))
    assert record.region_count == count == len(regions_of(record))
    areas = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    assert sorted(region["area_px"] for region in regions_of(record)) == sorted(areas)
    assert record.largest_region_px == areas.max()
    first = regions_of(record)[0]
    assert first["peak"] == record.score
    # The scratch is where the part was scratched (tests/parts.py), as far as the map's blur allows.
    mask = np.asarray(parts.part(7, defective=True)[1]) > 0
    rows, columns = np.nonzero(mask)
    assert rows.min() - 12 <= first["peak_y"] <= rows.max() + 12
    assert columns.min() - 12 <= first["peak_x"] <= columns.max() + 12


def test_a_good_part_has_no_regions(version: ModelVersion) -> None:
    record = inspect(version)
    assert (record.regions, record.region_count, record.largest_region_px) == ([], 0, 0)


def test_of_many_regions_fifty_are_listed_and_all_are_counted(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    spots = np.zeros((96, 96), np.float32)
    spots[::8, ::8] = 1000 + np.arange(144, dtype=np.float32).reshape(12, 12)
    spots[90:92, 90:93] = 500
    monkeypatch.setattr(scoring.ImageScore, "map", lambda self: spots)
    record = inspect(version, defective=True)
    assert (record.region_count, len(regions_of(record)), record.largest_region_px) == (145, 50, 6)
    assert [region["peak"] for region in regions_of(record)] == [1143.0 - index for index in range(50)]


def test_the_map_of_a_turned_part_lies_on_the_image(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter turn and a shift, which can be undone by hand, pixel for pixel."""
    original = Detector.prepare

    def turned(self: Detector, image: Image.Image, rules: InputRules | None = None) -> PreparedImage:
        # Original (x, y) is the model's (y - 20, 63 - (x - 10)): columns 10..73 and rows 20..83 are looked at.
        matrix = np.array([[0.0, 1.0, -20.0], [-1.0, 0.0, 73.0]])
        return PreparedImage(original(self, image).pixels, Frame(96, 96, (0, 0, 96, 96), matrix))

    monkeypatch.setattr(Detector, "prepare", turned)
    [scored] = scoring.score(scoring.load_model(version), [parts.png(7, defective=True)])
    assert isinstance(scored, scoring.ImageScore)
    expected = np.zeros((96, 96), np.float32)
    expected[20:84, 10:74] = np.rot90(scored.model_map, k=-1)
    assert np.abs(scored.map() - expected).max() <= 1e-4 * scored.score
    record = inspect(version, defective=True)
    assert np.abs(kept_map(record) - expected).max() <= 2e-4 * scored.score


def test_the_p_value_counts_good_parts_that_score_as_high(version: ModelVersion) -> None:
    record = inspect(version)
    held_out = version.held_out_scores
    assert record.p_value == (1 + sum(other >= score_of(record) for other in held_out)) / (len(held_out) + 1)


@pytest.mark.parametrize(
    ("n", "as_high", "words"),
    [
        (64, 0, "above all 64 held-out good parts"),
        (64, 1, "above 63 of 64 held-out good parts"),
        (64, 64, "above none of 64 held-out good parts"),
        (320, 1, "above 319 of 320 held-out good parts"),
        (999, 5, "above 994 of 999 held-out good parts"),
        (31, 3, "above 28 of 31 held-out good parts"),
    ],
)
def test_the_place_among_good_parts_claims_no_more_than_they_tell(n: int, as_high: int, words: str) -> None:
    record = Inspection(
        outcome="good", p_value=(1 + as_high) / (n + 1), model_version=ModelVersion(held_out_scores=[1.0] * n)
    )
    assert record.among_good_parts == words


# ---------------------------------------------------------------- what cannot be compared
def test_what_cannot_be_compared_is_recorded_without_a_verdict(version: ModelVersion, blank: bytes) -> None:
    record = services.inspect_here(
        data=blank,
        submission=services.Submission(filename="empty.png", source="command", actor=None),
        version=version,
    )
    record.refresh_from_db()
    assert record.outcome == Inspection.Outcome.NOT_COMPARABLE
    assert record.is_defective is None
    assert (record.score, record.confidence, record.p_value, record.map, record.regions) == (None,) * 5
    assert (record.reason, record.explanation) == ("no_part_found", "No part can be separated from the background.")
    assert "Put one part in the middle" in record.what_next
    assert record.asset.read() == blank
    assert "decode_ms" in record.timings
    assert "model_ms" not in record.timings
    assert str(record) == "empty.png: not comparable"
    event = AuditEvent.objects.latest("sequence")
    assert event.kind == "inspection.recorded"
    after = json.loads(event.after)
    assert (after["outcome"], after["reason"]) == ("not_comparable", "no_part_found")
    assert (after["score"], after["map"]) == (None, None)


def test_the_command_says_so_and_ends_well(version: ModelVersion, blank: bytes, tmp_path: Path) -> None:
    """Every image has its record, so the exit status is that of a success; the verdict is in the output."""
    empty, scratched = tmp_path / "empty.png", tmp_path / "scratched.png"
    empty.write_bytes(blank)
    scratched.write_bytes(parts.png(7, defective=True))
    out = StringIO()
    call_command("inspect", empty, scratched, stdout=out)
    first, second = out.getvalue().splitlines()
    assert "NOT COMPARABLE: No part can be separated from the background. Put one part" in first
    assert "DEFECTIVE, score" in second
    assert "above all 12 held-out good parts, 1 region, largest" in second
    out = StringIO()
    call_command("inspect", empty, "--json", stdout=out)
    [row] = json.loads(out.getvalue())["results"]
    assert (row["outcome"], row["is_defective"], row["score"]) == ("not_comparable", None, None)


def test_an_unknown_reason_has_an_advice_too(version: ModelVersion) -> None:
    record = Inspection(outcome="not_comparable", reason="fog")
    assert record.what_next.startswith("Place the part like the good parts")
    assert Inspection(outcome="good").what_next == ""


def test_a_refused_image_leaves_an_audit_event_and_nothing_else(version: ModelVersion, user: User) -> None:
    with pytest.raises(ImageRejected):
        services.inspect_here(
            data=b"not an image",
            submission=services.Submission(filename="a.png", source="command", actor=user),
            version=version,
        )
    assert not InspectionRequest.objects.exists()
    assert not Asset.objects.exists()
    event = AuditEvent.objects.latest("sequence")
    assert (event.kind, event.actor_name) == ("image.refused", "olga")


def test_a_tampered_artifact_judges_nothing(version: ModelVersion) -> None:
    tensors = version.artifact_path / "model.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        inspect(version)
    assert caught.value.code == "model_unusable"
    assert not Inspection.objects.exists()
    assert InspectionRequest.objects.get().status == InspectionRequest.Status.FAILED


def test_a_missing_artifact_judges_nothing(version: ModelVersion) -> None:
    (version.artifact_path / "manifest.json").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        inspect(version)


def test_a_full_disk_keeps_nothing(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk says that it is full when what was written has to get there."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left") as caught:
        inspect(version)
    assert (caught.value.code, caught.value.status) == ("storage_failed", 507)
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()
    location = Path(default_storage.path(""))
    assert not [path for path in location.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("refusal", "status"), [(StorageFailed, 507), (StorageUnavailable, 503)])
def test_a_map_that_cannot_be_stored_is_answered_as_an_image_that_cannot(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch, refusal: type[StorageFailed], status: int
) -> None:
    """Not as a conflict: time may help."""

    def fail(**_: Any) -> None:
        raise refusal(f"No room. {NOTHING_KEPT} Try again.")

    monkeypatch.setattr(worker, "store_file", fail)
    with pytest.raises(refusal, match="The image is kept, without a verdict") as caught:
        inspect(version)
    assert (caught.value.code, caught.value.status) == (refusal.code, status)
    assert caught.value.extra["request_id"] == str(InspectionRequest.objects.get().pk)
    assert not Inspection.objects.exists()


def test_an_error_inside_the_model_ends_the_request(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(scoring, "score", fail)
    with pytest.raises(UserError, match="MemoryError"):
        inspect(version)
    assert InspectionRequest.objects.get().error_code == "inspection_failed"
    assert not Inspection.objects.exists()


# ---------------------------------------------------------------- nobody answers
def test_without_a_worker_the_request_expires_and_stays_expired(deployment: Any, user: User) -> None:
    with pytest.raises(NoWorker) as caught:
        services.inspect_image(
            data=parts.png(1),
            submission=services.Submission(filename="a.png", source="api", actor=user),
            deployment=deployment,
            timeout=0.1,
        )
    assert caught.value.status == 503
    request = InspectionRequest.objects.get()
    assert request.status == InspectionRequest.Status.EXPIRED
    worker.judge_request(request_id=request.pk, worker="late")
    request.refresh_from_db()
    assert request.status == InspectionRequest.Status.EXPIRED
    assert not Inspection.objects.exists()


def test_a_request_taken_away_while_it_is_judged_writes_nothing(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, _ = receive_image(data=parts.png(1), filename="a.png", actor=None)
    request = services.request_inspection(
        asset=asset,
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
        deployment=None,
        patience=1,
    )
    real = scoring.score

    def expire_meanwhile(*args: Any) -> Any:
        InspectionRequest.objects.update(deadline=timezone.now() - timedelta(seconds=1))
        worker.sweep_requests()
        return real(*args)

    monkeypatch.setattr(scoring, "score", expire_meanwhile)
    worker.judge_request(request_id=request.pk, worker="slow")
    request.refresh_from_db()
    assert request.status == InspectionRequest.Status.EXPIRED
    assert not Inspection.objects.exists()


def test_a_message_delivered_twice_makes_one_record(version: ModelVersion) -> None:
    record = inspect(version)
    for redelivered in (False, True):
        worker.judge_request(request_id=record.request_id, worker="again", redelivered=redelivered)
    assert Inspection.objects.count() == 1


def test_a_redelivered_message_takes_over_from_a_dead_worker(version: ModelVersion) -> None:
    asset, _ = receive_image(data=parts.png(1), filename="a.png", actor=None)
    request = InspectionRequest.objects.create(
        asset=asset, model_version=version, filename="a.png", source="web", status="running", claim=uuid.uuid4()
    )
    worker.judge_request(request_id=request.pk, worker="second")
    assert not Inspection.objects.exists()
    worker.judge_request(request_id=request.pk, worker="second", redelivered=True)
    assert Inspection.objects.get().worker == "second"


# ---------------------------------------------------------------- pictures of another kind
def sent(version: ModelVersion, image: Image.Image) -> Inspection:
    return services.inspect_here(
        data=parts.encode(image),
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
    )


def test_a_stretched_picture_and_one_of_something_else_are_not_comparable(version: ModelVersion) -> None:
    good = parts.part(7)[0]
    stripes = np.tile((np.arange(96) // 6 % 2 * 120 + 60)[None, :, None], (96, 1, 3)) * np.array([1.0, 0.9, 0.8])
    stretched, other = sent(version, good.resize((768, 96))), sent(version, Image.fromarray(stripes.astype(np.uint8)))
    for record, reason in ((stretched, "other_aspect"), (other, "unlike_training")):
        record.refresh_from_db()
        assert (record.outcome, record.reason) == ("not_comparable", reason)
        assert (record.score, record.map) == (None, None)
        assert record.what_next
    assert "768 x 96 pixels" in stretched.explanation
    assert sent(version, good).outcome == "good"
    assert sent(version, parts.part(7, defective=True)[0]).outcome == "defective", "a defect is no stranger"


def test_what_is_checked_is_set_for_the_category_with_a_reason(version: ModelVersion, user: User) -> None:
    stretched = parts.part(7)[0].resize((768, 96))
    set_input_checks(
        category=version.category, rules=InputRules(aspect="warn", likeness="off"), reason="line scan", actor=user
    )
    record = sent(version, stretched)
    record.refresh_from_db()
    assert record.outcome in ("good", "defective")
    assert record.score is not None
    [warning] = documents.inspection_document(record)["warnings"]
    assert warning["code"] == "other_aspect"
    event = AuditEvent.objects.get(kind="input_checks.set")
    assert (event.actor_name, json.loads(event.before)["aspect"]) == ("olga", "refuse")
    assert (json.loads(event.after)["aspect"], json.loads(event.after)["reason"]) == ("warn", "line scan")
    set_input_checks(category=version.category, rules=InputRules(aspect="off", likeness="off"), reason="x", actor=user)
    record = sent(version, stretched)
    assert (record.input_findings, documents.inspection_document(record)["warnings"]) == (None, [])


@pytest.mark.parametrize(
    ("rules", "match"),
    [
        (InputRules(size="maybe"), "size must be one of"),
        (InputRules(size_factor=1.0), "size_factor lies between"),
        (InputRules(aspect_percent=-1), "aspect_percent lies between"),
        (InputRules(likeness_factor=float("nan")), "likeness_factor lies between"),
    ],
)
def test_checks_that_make_no_sense_are_refused(
    version: ModelVersion, user: User, rules: InputRules, match: str
) -> None:
    with pytest.raises(UserError, match=match):
        set_input_checks(category=version.category, rules=rules, reason="x", actor=user)
    with pytest.raises(UserError, match="reason"):
        set_input_checks(category=version.category, rules=InputRules(), reason=" ", actor=user)
    assert not InputCheckSettings.objects.exists()


def test_checks_are_set_anew_and_never_changed(version: ModelVersion, user: User) -> None:
    set_input_checks(category=version.category, rules=InputRules(size="off"), reason="x", actor=user)
    with pytest.raises(DatabaseError), transaction.atomic():
        InputCheckSettings.objects.update(size="refuse")
    with pytest.raises(DatabaseError), transaction.atomic():
        InputCheckSettings.objects.all().delete()
