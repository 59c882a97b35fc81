"""Single images that wait for the same model are judged together; each one's end is its own, whatever dies."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from inspection.batches import gathering
from inspection.batches import services as batches
from inspection.judging import services
from inspection.judging import worker as judging_worker
from inspection.models import Inspection, InspectionRequest
from jobs import broker
from modelzoo.loading import scoring
from modelzoo.services import request_deployment, set_threshold
from records.assets import pixel_cache
from records.assets.services import receive_image
from records.audit.selectors import verify_chain
from tests import parts

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """Ids that were sent to the queue."""
    sent: list[uuid.UUID] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: sent.extend(ids))
    return sent


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of the model had."""
    real, calls = scoring.score, []

    def counted(held: scoring.LoadedModel, images: list[Any]) -> Any:
        calls.append(len(images))
        return real(held, images)

    monkeypatch.setattr(scoring, "score", counted)
    return calls


def wait(deployment: Any, seed: int) -> InspectionRequest:
    asset, facts = receive_image(data=parts.png(seed), filename=f"{seed}.png", actor=None)
    return services.request_inspection(
        asset=asset,
        submission=services.Submission(
            filename=facts.clean_name, source="api", actor=None, part=services.PartContext(serial_number=str(seed))
        ),
        version=deployment.model_version,
        deployment=deployment,
        patience=30,
    )


def judge(request: InspectionRequest, **options: Any) -> None:
    judging_worker.judge_request(request_id=request.pk, worker="test", **options)


def statuses(requests: list[InspectionRequest]) -> list[str]:
    found = dict(InspectionRequest.objects.values_list("pk", "status"))
    return [found[request.pk] for request in requests]


def test_what_waits_is_scored_in_one_call_and_recorded_one_by_one(deployment: Any, scored: list[int]) -> None:
    requests = [wait(deployment, seed) for seed in range(4)]
    for request in requests:  # the messages of the last three find nothing to do
        judge(request)
    assert scored == [4]
    records = {record.request_id: record for record in Inspection.objects.all()}
    assert len(records) == 4
    for seed, request in enumerate(requests):
        assert records[request.pk].asset.read() == parts.png(seed)
        assert records[request.pk].serial_number == str(seed)
    assert verify_chain().broken_at is None


def test_together_they_score_as_alone(deployment: Any, settings: Any) -> None:
    settings.INFERENCE_BATCH_SIZE = 1
    alone = [wait(deployment, seed) for seed in range(3)]
    for request in alone:
        judge(request)
    settings.INFERENCE_BATCH_SIZE = 8
    together = [wait(deployment, seed) for seed in range(3)]
    judge(together[0])
    for first, second in zip(alone, together, strict=True):
        score = Inspection.objects.get(request=first).score
        assert Inspection.objects.get(request=second).score == pytest.approx(score, rel=1e-4)


def test_no_more_than_the_setting_allows(deployment: Any, scored: list[int], settings: Any) -> None:
    settings.INFERENCE_BATCH_SIZE = 2
    requests = [wait(deployment, seed) for seed in range(5)]
    judge(requests[4])
    assert statuses(requests) == ["done", "queued", "queued", "queued", "done"], "who waits longest comes along"
    for request in requests:
        judge(request)
    assert scored == [2, 2, 1]


def test_a_worker_may_wait_for_company(
    deployment: Any, scored: list[int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INFERENCE_BATCH_SIZE, settings.INFERENCE_BATCH_WAIT_MS = 2, 1000.0
    first, late = wait(deployment, 0), []
    monkeypatch.setattr(judging_worker.time, "sleep", lambda seconds: late.append(wait(deployment, 1)))
    judge(first)
    assert scored == [2]
    assert statuses([first, *late]) == ["done", "done"], "and no longer than until it has enough"


def test_other_models_and_batches_are_left_alone(deployment: Any, scored: list[int]) -> None:
    other = request_deployment(version=deployment.model_version, device="cpu", actor=None)
    requests = [wait(deployment, 0), wait(other, 1)]
    batch = batches.request_batch(
        items=gathering.receive_items(files=[("2.png", parts.png(2))], actor=None),
        name="test",
        deployment=deployment,
        source="api",
        actor=None,
    )
    judge(requests[0])
    assert scored == [1]
    assert statuses([*requests, batch.items.get()]) == ["done", "queued", "queued"]


def test_an_image_that_fails_fails_alone(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [wait(deployment, seed) for seed in range(4)]
    real, poison = scoring.score, parts.png(2)

    def fail_on_poison(held: scoring.LoadedModel, images: list[Any]) -> Any:
        if poison in images:
            raise RuntimeError("poison")
        return real(held, images)

    monkeypatch.setattr(scoring, "score", fail_on_poison)
    judge(requests[0])
    assert statuses(requests) == ["done", "done", "failed", "done"]


def test_an_image_whose_map_cannot_be_made_fails_alone(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [wait(deployment, seed) for seed in range(3)]
    real, made = judging_worker.encode_map, []

    def fail_once(anomaly_map: Any) -> Any:
        made.append(1)
        if len(made) == 1:
            raise ValueError("an anomaly map must be finite")
        return real(anomaly_map)

    monkeypatch.setattr(judging_worker, "encode_map", fail_once)
    judge(requests[0])
    assert sorted(statuses(requests)) == ["done", "done", "failed"]


def test_a_request_taken_away_leaves_the_others_alone(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [wait(deployment, seed) for seed in range(3)]
    real = scoring.score

    def expire_one(held: scoring.LoadedModel, images: list[Any]) -> Any:
        judging_worker.expire_request(requests[1])
        return real(held, images)

    monkeypatch.setattr(scoring, "score", expire_one)
    judge(requests[0])
    assert statuses(requests) == ["done", "expired", "done"]
    assert Inspection.objects.count() == 2


def test_a_threshold_set_while_they_are_weighed_judges_them(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = wait(deployment, 0)
    real = judging_worker.store_file
    filed: list[Any] = []

    def set_at_first(**words: Any) -> Any:
        if not filed:
            set_threshold(version=deployment.model_version, value=1e-6, method="manual", reason="test", actor=None)
        filed.append(real(**words))
        return filed[-1]

    monkeypatch.setattr(judging_worker, "store_file", set_at_first)
    judge(request)
    record = Inspection.objects.get()
    assert (record.threshold_value, record.is_defective) == (1e-6, True)
    assert record.region_count


# ---------------------------------------------------------------- workers that die
def begin(requests: list[InspectionRequest], worker: str = "dead") -> None:
    """As a worker leaves them that is killed while it judges them."""
    claimed = judging_worker._claim_waiting(requests[0].pk, claim=uuid.uuid4(), worker=worker)
    assert {request.pk for request in claimed} == {request.pk for request in requests}
    assert claimed[-1].pk == requests[0].pk, "written last, so that its message speaks for all"


def test_a_redelivered_message_speaks_for_all_that_its_worker_had_begun(
    deployment: Any, scored: list[int], published: list[uuid.UUID]
) -> None:
    requests = [wait(deployment, seed) for seed in range(3)]
    begin(requests)
    for request in requests[1:]:  # their own messages come in between, and another worker is not to be disturbed
        judge(request)
    assert scored == []
    published.clear()
    judge(requests[0], redelivered=True)
    assert statuses(requests) == ["done", "queued", "queued"]
    assert sorted(published) == sorted(request.pk for request in requests[1:])
    for pk in published:
        judging_worker.judge_request(request_id=pk, worker="test")
    assert scored == [1, 1, 1], "what a worker died of is tried alone"
    assert statuses(requests) == ["done"] * 3
    assert Inspection.objects.count() == 3


def test_what_was_begun_before_is_no_company(deployment: Any, scored: list[int], published: list[uuid.UUID]) -> None:
    requests = [wait(deployment, seed) for seed in range(2)]
    begin(requests)
    judging_worker.give_back_claims_of(worker="dead")
    fresh = wait(deployment, 5)
    judge(fresh)
    assert scored == [1]
    assert statuses([*requests, fresh]) == ["queued", "queued", "done"]


def test_a_worker_that_starts_anew_gives_back_what_its_predecessor_had_begun(
    deployment: Any, published: list[uuid.UUID]
) -> None:
    mine, others = (
        [wait(deployment, 0)],
        [wait(request_deployment(version=deployment.model_version, device="cpu", actor=None), 1)],
    )
    begin(mine, worker="inference@here")
    begin(others, worker="inference@there")
    published.clear()
    judging_worker.give_back_claims_of(worker="inference@here")
    assert statuses(mine + others) == ["queued", "running"]
    assert published == [mine[0].pk]
    judge(mine[0])
    assert statuses(mine) == ["done"]


# ---------------------------------------------------------------- decoded once
def test_the_gates_pixels_are_the_ones_that_are_scored(
    deployment: Any, user: User, published: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing decodes the image a second time, and the score is that of the stored file."""
    seen: list[Any] = []
    real = scoring.score

    def watched(held: scoring.LoadedModel, images: list[Any]) -> Any:
        seen.extend(images)
        return real(held, images)

    monkeypatch.setattr(scoring, "score", watched)

    def work(settled: Any, **_: Any) -> bool:
        judging_worker.judge_request(request_id=InspectionRequest.objects.get().pk, worker="test")
        return bool(settled())

    monkeypatch.setattr(broker, "wait_until", work)
    record = services.inspect_image(
        data=parts.png(3),
        submission=services.Submission(filename="a.png", source="api", actor=user),
        deployment=deployment,
    )
    assert [type(image) for image in seen] != [bytes]
    assert pixel_cache.take(record.asset.sha256) is None, "taken away"
    [again] = real(scoring.load_model(deployment.model_version), [record.asset.read()])
    assert isinstance(again, scoring.ImageScore)
    assert record.score == again.score


def test_of_large_images_no_more_are_judged_together_than_memory_is_meant_for(
    deployment: Any, published: list[uuid.UUID], scored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_worker, "MAX_PIXELS_TOGETHER", int(2.5 * parts.SIDE**2))
    requests = [wait(deployment, seed) for seed in range(5)]
    for request in requests:
        judging_worker.judge_request(request_id=request.pk, worker="here")
    assert scored == [2, 2, 1]
    assert Inspection.objects.count() == 5


def test_an_image_that_ended_its_workers_is_not_begun_again(
    deployment: Any, published: list[uuid.UUID], scored: list[int], settings: Any
) -> None:
    request = wait(deployment, 1)
    InspectionRequest.objects.filter(pk=request.pk).update(attempt=settings.MAX_ATTEMPTS)
    judging_worker.judge_request(request_id=request.pk, worker="here")
    request.refresh_from_db()
    assert (request.status, request.error_code) == (InspectionRequest.Status.FAILED, "worker_died")
    assert scored == []
    assert not Inspection.objects.exists()
    assert verify_chain().broken_at is None
