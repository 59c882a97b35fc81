"""Stored verdicts recomputed: what is equal, what is named, and what the chain keeps of it."""

from __future__ import annotations

import io
import json
import random
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone
from scipy.stats import chisquare

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.judging.services import PartContext, Submission, inspect_here
from inspection.models import Inspection
from modelzoo.detectors.preprocessing.input_rules import OFF, InputRules
from modelzoo.models import ModelVersion
from modelzoo.services import set_input_checks, set_threshold
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from tests import parts
from tests.triggers import without_triggers
from tests.versions import another
from tuning.models import ReplayRun
from tuning.replay import services
from tuning.replay.selectors import by_way, draw, find_replay

pytestmark = pytest.mark.django_db


def judged(version: ModelVersion, data: bytes, name: str = "part.png") -> Inspection:
    submission = Submission(filename=name, source="command", actor=None, part=PartContext())
    return inspect_here(data=data, submission=submission, version=version)


@pytest.fixture
def past(version: ModelVersion) -> list[Inspection]:
    return [judged(version, parts.png(seed, defective=seed % 2 == 1)) for seed in range(6)]


def replayed(sample: int = 100) -> ReplayRun:
    run = services.request_replay(sample=sample, actor=None, call_worker=False)
    assert services.work_on_replay(run_id=run.pk)
    return find_replay(run.pk)


def finding(run: ReplayRun) -> dict[str, Any]:
    [only] = run.findings
    found: dict[str, Any] = only
    return found


# ---------------------------------------------------------------- equal
def test_every_verdict_is_recomputed_and_the_chain_says_so(past: list[Inspection]) -> None:
    run = replayed()
    assert (run.status, run.equal, run.differing, run.not_recomputed) == ("finished", 6, 0, 0)
    assert run.is_proof
    assert run.largest_deviation < 1e-5
    asked, ended = AuditEvent.objects.filter(kind__startswith="replay.").order_by("sequence")
    assert (asked.kind, ended.kind) == ("replay.requested", "replay.finished")
    assert asked.previous_hash == run.seed, "drawn by the end of the chain as it was"
    assert json.loads(ended.after)["equal"] == 6
    assert verify_chain().broken_at is None


def test_a_record_is_recomputed_by_the_threshold_and_the_checks_of_then(
    version: ModelVersion, past: list[Inspection]
) -> None:
    value = max(record.score or 0 for record in past) * 2
    set_threshold(version=version, value=value, method="manual", reason="test", actor=None)
    rules = replace(InputRules(), size=OFF)
    set_input_checks(category=version.category, rules=rules, reason="test", actor=None)
    later = judged(version, parts.png(50, defective=True))
    assert replayed().is_proof
    ways = {
        way.input_rules: [record.pk for record in records] for way, records in by_way([*(r.pk for r in past), later.pk])
    }
    assert ways[rules] == [later.pk]
    assert sorted(ways[InputRules()]) == sorted(record.pk for record in past)


def test_what_could_not_be_compared_is_so_again(version: ModelVersion, blank: bytes) -> None:
    assert judged(version, blank).outcome == "not_comparable"
    assert replayed().is_proof


def test_records_of_several_versions(version: ModelVersion, past: list[Inspection]) -> None:
    judged(another(version), parts.png(9))
    run = replayed()
    assert (run.is_proof, run.equal) == (True, 7)


# ---------------------------------------------------------------- named
def test_one_changed_byte_of_the_artifact_is_named_though_the_model_is_in_memory(
    version: ModelVersion, past: list[Inspection]
) -> None:
    weights = version.artifact_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    run = replayed()
    assert (run.is_proof, run.equal, run.not_recomputed) == (False, 0, 6)
    assert finding(run) == {
        "what": "artifact",
        "subject": str(version.pk),
        "sentence": "The artifact of disc v1 (padim): model.safetensors was changed: its hash is not the one on "
        "record.",
    }


def test_one_changed_score_is_named(past: list[Inspection]) -> None:
    record = next(one for one in past if one.outcome == "good")
    assert record.score is not None
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(score=record.score * 0.99)
    run = replayed()
    assert (run.equal, run.differing) == (5, 1)
    assert finding(run)["what"] == "score"
    assert finding(run)["subject"] == str(record.pk)
    assert f"The score of inspection {record.pk} is recorded as" in finding(run)["sentence"]
    event = AuditEvent.objects.get(kind="replay.finished")
    assert str(record.pk) in json.loads(event.after)["findings"][0]


def test_scores_of_another_machine_may_differ_by_more(past: list[Inspection]) -> None:
    record = next(one for one in past if one.outcome == "good")
    assert record.score is not None
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(score=record.score * (1 + 1e-4))
        assert finding(replayed())["what"] == "score"
        Inspection.objects.filter(pk=record.pk).update(worker="inference@elsewhere")
    run = replayed()
    assert run.is_proof
    assert run.largest_deviation == pytest.approx(1e-4, rel=0.01)


def test_a_changed_threshold_of_a_record_is_named(past: list[Inspection]) -> None:
    record = next(one for one in past if one.outcome == "good")
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(threshold_value=record.threshold_value * 2)
    assert finding(replayed())["what"] == "verdict"


def test_a_changed_reason_is_named(version: ModelVersion, blank: bytes) -> None:
    record = judged(version, blank)
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(reason="several_parts")
    assert "recorded as several_parts, and recomputed as no_part_found" in finding(replayed())["sentence"]


def test_a_changed_image_is_named(past: list[Inspection]) -> None:
    path = Path(past[0].asset.file.path)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    run = replayed()
    assert (run.equal, run.not_recomputed) == (5, 1)
    assert (finding(run)["what"], finding(run)["subject"]) == ("image", str(past[0].pk))
    path.unlink()
    assert finding(replayed())["what"] == "image"


def test_a_runtime_that_is_not_here_is_said(past: list[Inspection]) -> None:
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=past[0].pk).update(timings={"runtime": "abacus", "precision": "fp32"})
    run = replayed()
    assert (run.equal, run.not_recomputed, finding(run)["what"]) == (5, 1, "model")


# ---------------------------------------------------------------- the draw
def test_the_draw_follows_from_the_seed_alone(past: list[Inspection]) -> None:
    assert draw("a" * 64, 3) == draw("a" * 64, 3)
    assert len({tuple(draw(f"{seed:064}", 3)) for seed in range(20)}) > 1
    assert draw("a" * 64, 100) == sorted(record.pk for record in past)
    assert len(replayed(sample=4).records) == 4


def test_every_record_has_its_share_of_the_draws(past: list[Inspection]) -> None:
    """Over ids of requests as they are made anew: the first record is drawn as often as any other."""
    counts, dice = dict.fromkeys(range(6), 0), random.Random(0)
    order = list(Inspection.objects.order_by("created_at").values_list("pk", flat=True))
    for seed in range(300):
        with without_triggers("inspection_inspection"):
            for record in Inspection.objects.select_related("request"):
                record.request.pk = uuid.UUID(int=dice.getrandbits(128))
                record.request.save(force_insert=True)
                Inspection.objects.filter(pk=record.pk).update(request=record.request)
        for pk in draw(f"{seed:064}", 2):
            counts[order.index(pk)] += 1
    assert sum(counts.values()) == 600
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_images_that_retention_removed_are_not_drawn(past: list[Inspection]) -> None:
    Asset.objects.filter(pk=past[0].asset_id).update(discarded_at=timezone.now())
    assert past[0].pk not in draw("0" * 64, 100)
    assert replayed().equal == 5


# ---------------------------------------------------------------- the job
def test_one_at_a_time_and_by_those_who_audit(past: list[Inspection], operator: User, auditor: User) -> None:
    with pytest.raises(Forbidden):
        services.request_replay(sample=3, actor=operator)
    for sample in (0, services.MAX_SAMPLE + 1):
        with pytest.raises(UserError, match="1 to 5000"):
            services.request_replay(sample=sample, actor=auditor)
    run = services.request_replay(sample=3, actor=auditor)
    with pytest.raises(Conflict, match="is running"):
        services.request_replay(sample=3, actor=auditor)
    assert services.request_nightly_replay() is None
    assert services.work_on_replay(run_id=run.pk)
    assert not services.work_on_replay(run_id=run.pk)
    assert AuditEvent.objects.get(kind="replay.finished").actor_name == "audrey"


def test_one_that_was_left_behind_is_begun_anew(past: list[Inspection], settings: Any) -> None:
    run = services.request_replay(sample=10, actor=None, call_worker=False)
    assert services.REPLAYS.take(run.pk) is not None
    assert not services.work_on_replay(run_id=run.pk), "somebody works on it"
    ReplayRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert services.work_on_replay(run_id=run.pk)
    assert find_replay(run.pk).equal == 6
    hopeless = services.request_replay(sample=10, actor=None, call_worker=False)
    ReplayRun.objects.filter(pk=hopeless.pk).update(attempt=settings.MAX_ATTEMPTS)
    assert services.work_on_replay(run_id=hopeless.pk)
    assert find_replay(hopeless.pk).status == "failed"


def test_the_scheduler_asks_for_one_where_there_is_something_to_replay(
    version: ModelVersion, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REPLAY_SAMPLE = 5
    assert services.request_nightly_replay() is None
    judged(version, parts.png(1))
    run = services.request_nightly_replay()
    assert run is not None
    assert (run.sample, len(run.records)) == (5, 1)
    services.work_on_replay(run_id=run.pk)
    settings.REPLAY_SAMPLE = 0
    assert services.request_nightly_replay() is None


# ---------------------------------------------------------------- command, page
def test_the_command_ends_with_an_error_where_a_record_differs(past: list[Inspection]) -> None:
    out, err = io.StringIO(), io.StringIO()
    call_command("replay", sample=200, json=True, stdout=out, stderr=err)
    document = json.loads(out.getvalue())
    assert (document["equal"], len(document["records"]), document["findings"]) == (6, 6, [])
    Path(past[0].asset.file.path).unlink()
    with pytest.raises(CommandError, match="0 records differ, 1 could not be recomputed"):
        call_command("replay", sample=200, stdout=out, stderr=err)
    assert f"of inspection {past[0].pk} cannot be read" in err.getvalue()


def test_a_worker_does_it_in_a_process_of_its_own(past: list[Inspection]) -> None:
    """What that process is started with; tests/stack/test_replay.py starts one."""
    run = services.request_replay(sample=3, actor=None)
    call_command("execute_replay", str(run.pk))
    assert find_replay(run.pk).is_proof
    assert AuditEvent.objects.get(kind="replay.finished").source == "worker"


def test_the_audit_page_shows_the_last_replay(past: list[Inspection], auditor: User) -> None:
    client = Client()
    client.force_login(auditor)
    assert "Last replay of verdicts" in client.get("/audit/").content.decode()
    replayed()
    assert "6 equal" in client.get("/audit/").content.decode()
    Path(past[0].asset.file.path).unlink()
    replayed()
    page = client.get("/audit/").content.decode()
    assert "5 of 6 equal" in page
    assert f"of inspection {past[0].pk} cannot be read" in page
