"""Judging: one image ends in exactly one record or in an error; nothing is half-written."""

from __future__ import annotations

import errno
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from inspection import selectors, services
from inspection.models import BatchRun, Inspection, InspectionRequest
from modelzoo import runtime
from modelzoo.maps import decode_map
from modelzoo.models import ModelVersion, Threshold
from modelzoo.services import set_threshold
from mvtec_site.errors import UserError
from records.images import ImageRejected
from records.models import Asset, AuditEvent
from records.selectors import verify_chain
from records.services import receive_image
from tests import parts

pytestmark = pytest.mark.django_db


def inspect(version: ModelVersion, *, defective: bool = False, seed: int = 7, **part: str) -> Inspection:
    return services.inspect_here(
        data=parts.png(seed, defective=defective),
        filename="a.png",
        version=version,
        source="command",
        actor=None,
        part=services.PartContext(**part),
    )


def test_a_good_and_a_defective_part(version: ModelVersion) -> None:
    good, bad = inspect(version), inspect(version, defective=True)
    assert not good.is_defective
    assert bad.is_defective
    for record in (good, bad):
        assert record.threshold == version.thresholds.get()
        assert record.confidence == abs(record.score - record.threshold_value)
        assert record.backbone_sha256 == version.backbone_sha256
        assert record.timings["model_ms"] > 0


def test_the_record_keeps_image_and_map(version: ModelVersion) -> None:
    record = inspect(version, defective=True, lot="L7", serial_number="S1", station="east")
    assert record.asset.read() == parts.png(7, defective=True)
    restored = decode_map(record.map.read(), record.map_maximum)
    assert restored.shape == (64, 64)
    assert restored.max() == pytest.approx(record.score, rel=1e-6)
    held = runtime.hold(version)
    [scored] = runtime.score(held, [parts.png(7, defective=True)])
    assert np.abs(restored - scored.map).max() <= record.map_maximum / 65535
    document = selectors.inspection_document(record, anomaly_map="full")
    assert np.allclose(document["anomaly_map"], restored)
    assert (document["lot"], document["serial_number"], document["station"]) == ("L7", "S1", "east")


def test_the_same_image_is_stored_once(version: ModelVersion) -> None:
    first, second = inspect(version), inspect(version)
    assert first.asset == second.asset
    assert first.pk != second.pk
    assert Asset.objects.filter(sha256=first.asset.sha256).count() == 1


def test_a_new_threshold_judges_the_next_image_and_leaves_the_past(version: ModelVersion) -> None:
    before = inspect(version)
    raised = set_threshold(
        version=version, value=before.score / 2, method=Threshold.Method.MANUAL, reason="test", actor=None
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
        "UPDATE inspection_inspection SET score = 0, is_defective = 'f'",
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


def test_a_verdict_that_contradicts_its_score_is_refused(version: ModelVersion) -> None:
    record = inspect(version)
    request = InspectionRequest.objects.create(
        asset=record.asset, model_version=version, filename="b.png", source="web", status="running"
    )
    record.pk, record.request, record.is_defective = uuid.uuid4(), request, True
    with pytest.raises(IntegrityError, match="verdict_follows_from_score"), transaction.atomic():
        record.save(force_insert=True)


def test_a_refused_image_leaves_an_audit_event_and_nothing_else(version: ModelVersion, user: User) -> None:
    with pytest.raises(ImageRejected):
        services.inspect_here(
            data=b"not an image",
            filename="a.png",
            version=version,
            source="command",
            actor=user,
            part=services.PartContext(),
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
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "w" in mode and "assets" in self.parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match="No space left") as caught:
        inspect(version)
    assert (caught.value.code, caught.value.status) == ("storage_failed", 507)
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()
    location = Path(default_storage.path(""))
    assert not [path for path in location.rglob("*") if path.is_file()]


def test_an_error_inside_the_model_ends_the_request(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(runtime, "score", fail)
    with pytest.raises(UserError, match="MemoryError"):
        inspect(version)
    assert InspectionRequest.objects.get().error_code == "inspection_failed"
    assert not Inspection.objects.exists()


# ---------------------------------------------------------------- nobody answers
def test_without_a_worker_the_request_expires_and_stays_expired(deployment: Any, user: User) -> None:
    with pytest.raises(services.NoWorker) as caught:
        services.inspect_image(
            data=parts.png(1), filename="a.png", deployment=deployment, source="api", actor=user, timeout=0.1
        )
    assert caught.value.status == 503
    request = InspectionRequest.objects.get()
    assert request.status == InspectionRequest.Status.EXPIRED
    services.judge_request(request_id=request.pk, worker="late")
    request.refresh_from_db()
    assert request.status == InspectionRequest.Status.EXPIRED
    assert not Inspection.objects.exists()


def test_a_request_taken_away_while_it_is_judged_writes_nothing(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, _ = receive_image(data=parts.png(1), filename="a.png", actor=None)
    request = services.request_inspection(
        asset=asset,
        filename="a.png",
        version=version,
        deployment=None,
        source="command",
        actor=None,
        part=services.PartContext(),
        patience=1,
    )
    real = runtime.score

    def expire_meanwhile(*args: Any) -> Any:
        InspectionRequest.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        services.sweep_requests()
        return real(*args)

    monkeypatch.setattr(runtime, "score", expire_meanwhile)
    services.judge_request(request_id=request.pk, worker="slow")
    request.refresh_from_db()
    assert request.status == InspectionRequest.Status.EXPIRED
    assert not Inspection.objects.exists()


def test_a_message_delivered_twice_makes_one_record(version: ModelVersion) -> None:
    record = inspect(version)
    for redelivered in (False, True):
        services.judge_request(request_id=record.request_id, worker="again", redelivered=redelivered)
    assert Inspection.objects.count() == 1


def test_a_redelivered_message_takes_over_from_a_dead_worker(version: ModelVersion) -> None:
    asset, _ = receive_image(data=parts.png(1), filename="a.png", actor=None)
    request = InspectionRequest.objects.create(
        asset=asset, model_version=version, filename="a.png", source="web", status="running", claim=uuid.uuid4()
    )
    services.judge_request(request_id=request.pk, worker="second")
    assert not Inspection.objects.exists()
    services.judge_request(request_id=request.pk, worker="second", redelivered=True)
    assert Inspection.objects.get().worker == "second"


# ---------------------------------------------------------------- batches
def make_batch(deployment: Any, files: list[tuple[str, bytes]]) -> BatchRun:
    return services.request_batch(
        items=services.receive_items(files=files, actor=None),
        name="test",
        deployment=deployment,
        source="api",
        actor=None,
    )


def images(count: int) -> list[tuple[str, bytes]]:
    return [(f"{index}.png", parts.png(index, defective=index % 2 == 1)) for index in range(count)]


def work(batch: BatchRun, times: int = 50) -> None:
    for _ in range(times):
        services.work_on_batch(batch_id=batch.pk, worker="test")
        batch.refresh_from_db()
        if batch.status == BatchRun.Status.FINISHED:
            return


def test_a_batch_judges_every_image_once_and_names_the_refused(deployment: Any) -> None:
    batch = make_batch(deployment, [*images(5), ("bad.png", b"garbage")])
    work(batch)
    document = selectors.batch_document(batch)
    assert document["status"] == "finished"
    assert (document["total"], document["done"], document["failed"], document["progress"]) == (6, 5, 1, 1.0)
    assert [row["filename"] for row in document["results"]] == [*(f"{i}.png" for i in range(5)), "bad.png"]
    assert [row["is_defective"] for row in document["results"][:5]] == [False, True, False, True, False]
    assert document["results"][5]["code"] == "not_an_image"
    assert Inspection.objects.count() == 5
    assert verify_chain().broken_at is None


def test_a_batch_is_worked_on_in_slices(deployment: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(services, "_SLICE_SECONDS", 0.0)
    batch = make_batch(deployment, images(5))
    seen = []
    for _ in range(4):
        services.work_on_batch(batch_id=batch.pk, worker="test")
        seen.append(selectors.batch_counts(batch)["done"])
    assert seen == [2, 4, 5, 5]
    batch.refresh_from_db()
    assert batch.status == BatchRun.Status.FINISHED


def test_a_batch_in_work_is_not_taken_by_a_second_worker(deployment: Any) -> None:
    batch = make_batch(deployment, images(2))
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() + timedelta(seconds=60)
    )
    services.work_on_batch(batch_id=batch.pk, worker="second")
    assert not Inspection.objects.exists()


def test_a_batch_whose_worker_died_is_finished_by_the_next(deployment: Any) -> None:
    batch = make_batch(deployment, images(4))
    dead = uuid.uuid4()
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=dead, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    InspectionRequest.objects.filter(batch=batch, position__in=[0, 1]).update(status="running", claim=dead, attempt=1)
    work(batch)
    assert Inspection.objects.count() == 4
    attempts = list(batch.items.order_by("position").values_list("attempt", flat=True))
    assert attempts == [2, 2, 1, 1]


def test_an_image_that_kills_workers_is_given_up_alone(deployment: Any, settings: Any) -> None:
    batch = make_batch(deployment, images(3))
    InspectionRequest.objects.filter(batch=batch, position=1).update(
        status="running", claim=uuid.uuid4(), attempt=settings.MAX_ATTEMPTS
    )
    work(batch)
    statuses = list(batch.items.order_by("position").values_list("status", "error_code"))
    assert statuses == [("done", ""), ("failed", "worker_died"), ("done", "")]


def test_an_image_that_fails_to_be_scored_fails_alone(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(deployment, images(4))
    poison = parts.png(2)
    real = runtime.score

    def fail_on_poison(held: Any, data: list[bytes]) -> Any:
        if poison in data:
            raise RuntimeError("poison")
        return real(held, data)

    monkeypatch.setattr(runtime, "score", fail_on_poison)
    work(batch)
    assert list(batch.items.order_by("position").values_list("status", flat=True)) == ["done", "done", "failed", "done"]


def test_an_empty_batch_is_refused(deployment: Any) -> None:
    with pytest.raises(UserError, match="no images"):
        make_batch(deployment, [])
    assert not BatchRun.objects.exists()


def test_the_sweep_calls_for_stale_batches_only(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, stale = make_batch(deployment, images(1)), make_batch(deployment, images(1))
    BatchRun.objects.filter(pk=stale.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    called: list[uuid.UUID] = []
    monkeypatch.setattr(services, "_publish_batch", called.append)
    services.sweep_batches()
    assert called == [stale.pk]
    assert fresh.pk not in called
    services.sweep_batches()
    assert called == [stale.pk], "published again at once"
