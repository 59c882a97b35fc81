"""Many images as one job: slices, partial failure, and workers that die."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from inspection import batches, services
from inspection.models import BatchRun, Inspection, InspectionRequest
from modelzoo import runtime
from modelzoo.models import ModelVersion
from mvtec_site.errors import UserError
from records.models import AuditEvent
from records.selectors import verify_chain
from tests import parts

pytestmark = pytest.mark.django_db


def judged_alone(version: ModelVersion, data: bytes) -> Inspection:
    return services.inspect_here(
        data=data, filename="a.png", version=version, source="command", actor=None, part=services.PartContext()
    )


def make_batch(deployment: Any, files: list[tuple[str, bytes]]) -> BatchRun:
    return batches.request_batch(
        items=batches.receive_items(files=files, actor=None),
        name="test",
        deployment=deployment,
        source="api",
        actor=None,
    )


def images(count: int) -> list[tuple[str, bytes]]:
    return [(f"{index}.png", parts.png(index, defective=index % 2 == 1)) for index in range(count)]


def work(batch: BatchRun, times: int = 50) -> None:
    for _ in range(times):
        batches.work_on_batch(batch_id=batch.pk, worker="test")
        batch.refresh_from_db()
        if batch.status == BatchRun.Status.FINISHED:
            return


def test_a_batch_judges_every_image_once_and_names_the_refused(deployment: Any) -> None:
    batch = make_batch(deployment, [*images(5), ("bad.png", b"garbage")])
    work(batch)
    document = batches.batch_document(batch)
    assert document["status"] == "finished"
    assert (document["total"], document["done"], document["failed"], document["progress"]) == (6, 5, 1, 1.0)
    assert [row["filename"] for row in document["results"]] == [*(f"{i}.png" for i in range(5)), "bad.png"]
    assert [row["is_defective"] for row in document["results"][:5]] == [False, True, False, True, False]
    assert document["results"][5]["code"] == "not_an_image"
    assert Inspection.objects.count() == 5
    assert verify_chain().broken_at is None


def test_a_batch_is_worked_on_in_slices(deployment: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(batches, "_SLICE_SECONDS", 0.0)
    batch = make_batch(deployment, images(5))
    seen = []
    for _ in range(4):
        batches.work_on_batch(batch_id=batch.pk, worker="test")
        seen.append(batches.batch_counts(batch)["done"])
    assert seen == [2, 4, 5, 5]
    batch.refresh_from_db()
    assert batch.status == BatchRun.Status.FINISHED


def test_a_batch_in_work_is_not_taken_by_a_second_worker(deployment: Any) -> None:
    batch = make_batch(deployment, images(2))
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() + timedelta(seconds=60)
    )
    batches.work_on_batch(batch_id=batch.pk, worker="second")
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


def test_in_a_batch_what_cannot_be_compared_leaves_the_others_alone(
    deployment: Any, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runtime.score, []

    def counted(held: runtime.Held, data: list[bytes]) -> Any:
        calls.append(len(data))
        return real(held, data)

    monkeypatch.setattr(runtime, "score", counted)
    alone = {
        name: judged_alone(deployment.model_version, parts.png(index, defective=index % 2 == 1)).score
        for index, (name, _) in enumerate(images(4))
    }
    calls.clear()
    batch = make_batch(deployment, [*images(2), ("blank.png", blank), *images(4)[2:], ("also.png", blank)])
    work(batch)
    assert calls == [6], "judged together, not one by one"
    document = batches.batch_document(batch)
    counts = ("total", "done", "failed", "good", "defective", "not_comparable")
    assert [document[name] for name in counts] == [6, 6, 0, 2, 2, 2]
    for row in document["results"]:
        if row["filename"] in alone:
            assert row["score"] == pytest.approx(alone[row["filename"]], rel=1e-4)
        else:
            assert (row["status"], row["outcome"], row["is_defective"]) == ("done", "not_comparable", None)
            assert row["reason"] == "no_part_found"
    event = AuditEvent.objects.get(kind="batch.finished")
    assert json.loads(event.after) == {"failed": 0, "not_comparable": 2, "cancelled": 0}


def test_a_batch_of_which_nothing_can_be_compared(deployment: Any, blank: bytes) -> None:
    batch = make_batch(deployment, [("a.png", blank), ("b.png", blank)])
    work(batch)
    document = batches.batch_document(batch)
    assert (document["status"], document["not_comparable"], document["failed"]) == ("finished", 2, 0)


def test_an_empty_batch_is_refused(deployment: Any) -> None:
    with pytest.raises(UserError, match="no images"):
        make_batch(deployment, [])
    assert not BatchRun.objects.exists()


def test_the_sweep_calls_for_stale_batches_only(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, stale = make_batch(deployment, images(1)), make_batch(deployment, images(1))
    BatchRun.objects.filter(pk=stale.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    called: list[uuid.UUID] = []
    monkeypatch.setattr(batches, "_publish_batch", called.append)
    batches.sweep_batches()
    assert called == [stale.pk]
    assert fresh.pk not in called
    batches.sweep_batches()
    assert called == [stale.pk], "published again at once"
