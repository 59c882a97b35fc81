"""Shifts, their draw, blind decisions, and the proof of it all without the system."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from modelzoo.services import set_threshold
from quality.models import AuditedShift, BlindDecision, DrawnPart, SamplingPlan
from quality.random_audit import documents, selectors, services
from quality.random_audit.bounds import hypergeometric_interval
from quality.random_audit.draw import Member, draw, number_to_draw
from quality.random_audit.shifts import next_end, parse_starts
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.export import lines_of
from records.audit.selectors import stream_events
from records.audit.services import make_checkpoint
from records.models import AuditEvent
from retention.selectors import discardable
from retention.services import set_policy
from tests.chain import attest_people
from tests.environment import ROOT
from tests.quality.audited import close, judged, plan, recorded
from tests.scores import Part, stored
from tests.versions import another

pytestmark = pytest.mark.django_db


# ---------------------------------------------------------------- the draw
@given(st.integers(0, 10_000), st.decimals(0, 100, places=2), st.integers(0, 50))
def test_how_many_are_drawn(passed, percent, at_least):
    number = number_to_draw(passed, percent, at_least)
    assert number == 0 if percent == 0 else number <= passed
    assert number * 100 >= passed * percent
    assert (number - 1) * 100 < passed * percent or number == min(passed, at_least)
    assert number_to_draw(passed, Decimal(100), at_least) == passed


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 30), st.integers(0, 10))
def test_a_draw_follows_from_its_seed(seed, passed, rejected):
    members = [Member(f"{number}", "good" if number % 3 else "defective", "") for number in range(60)]
    drawn = draw(members, seed=seed, passed=passed, rejected=rejected)
    assert draw(members[::-1], seed=seed, passed=passed, rejected=rejected) == drawn
    assert [member.outcome for member in drawn].count("good") == passed
    assert [member.outcome for member in drawn].count("defective") == rejected
    keys = {member: hashlib.sha256(f"{seed} {member.inspection_id}".encode()).hexdigest() for member in members}
    assert [keys[member] for member in drawn] == sorted(keys[member] for member in drawn)
    for outcome in ("good", "defective"):
        inside = [keys[member] for member in drawn if member.outcome == outcome]
        outside = [keys[member] for member in members if member.outcome == outcome and member not in drawn]
        assert not inside or not outside or max(inside) < min(outside)


# ---------------------------------------------------------------- shifts
def test_shifts_end_when_the_next_one_starts(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    starts = ["06:00", "14:00", "22:00"]
    noon = datetime(2026, 7, 1, 10, tzinfo=UTC)  # 12:00 in Berlin
    assert next_end(noon, starts) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert next_end(datetime(2026, 7, 1, 12, tzinfo=UTC), starts) == datetime(2026, 7, 1, 20, tzinfo=UTC)
    assert next_end(datetime(2026, 7, 1, 21, tzinfo=UTC), starts) == datetime(2026, 7, 2, 4, tzinfo=UTC)


@pytest.mark.parametrize("day", [datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)])
def test_every_shift_ends_once_when_clocks_change(settings, day):
    settings.TIME_ZONE = "Europe/Berlin"
    ends = [day]
    while len(ends) < 9:
        ends.append(next_end(ends[-1], ["02:30", "10:00", "18:00"]))
    gaps = [(later - earlier).total_seconds() / 3600 for earlier, later in pairwise(ends[1:])]
    assert all(6 <= gap <= 10 for gap in gaps)


@pytest.mark.parametrize(
    "starts", [[], ["6:00"], ["24:00"], ["06:00", "soon"], [f"{hour:02}:00" for hour in range(13)]]
)
def test_what_is_no_time_of_day(starts):
    with pytest.raises(UserError, match="HH:MM"):
        parse_starts(starts)


def test_a_shift_is_closed_with_the_parts_since_the_last_one(version: ModelVersion):
    category = version.category
    judged(version, good=3)  # before there was a plan
    plan(category, percent=10, controls=2)
    records = judged(version, good=30, defective=5)
    first = close(category)
    assert (first.number, first.passed, first.rejected, first.draws, first.controls) == (1, 30, 5, 3, 2)
    drawn = list(first.parts.order_by("position").values_list("inspection_id", flat=True))
    assert len(drawn) == 5
    assert set(drawn) <= {record.pk for record in records}
    event = AuditEvent.objects.get(sequence=first.event_sequence)
    assert (event.kind, event.hash) == ("audited_shift.closed", first.seed)
    assert json.loads(event.after)["population_sha256"] == first.population_sha256

    late = judged(version, good=1)  # whatever comes after the closing event is of the next shift
    second = close(category)
    assert (second.number, second.starts_at, second.passed, second.draws) == (2, first.ends_at, 1, 1)
    assert second.first_sequence == first.last_sequence + 1
    assert [part.inspection_id for part in second.parts.all()] == [late[0].pk]
    third = close(category)
    assert (third.passed, third.draws, third.parts.count()) == (0, 0, 0)
    attest_people()
    assert verify_all().sentence == ""


def test_shifts_that_nobody_closed_are_closed_one_after_the_other(version: ModelVersion):
    category = version.category
    plan(category)
    judged(version, good=4)
    end = selectors.open_shift(category).ends_at
    later = next_end(next_end(end, ["06:00", "14:00", "22:00"]), ["06:00", "14:00", "22:00"])
    shifts = services.close_due_shifts(now=later)
    assert [(shift.number, shift.passed) for shift in shifts] == [(1, 4), (2, 0), (3, 0)]
    assert services.close_due_shifts(now=later) == []


def test_other_categories_and_parts_without_a_verdict_are_not_drawn(version: ModelVersion):
    plan(version.category, percent=100)
    own = judged(version, good=2)
    recorded(stored(version, [Part(None)]))
    judged(another(version, category="ring"), good=5)
    shift = close(version.category)
    assert (shift.passed, shift.rejected) == (2, 0)
    assert {part.inspection_id for part in shift.parts.all()} == {record.pk for record in own}


def test_a_new_plan_is_in_force_from_the_next_shift_on(version: ModelVersion):
    category = version.category
    plan(category, percent=50)
    judged(version, good=10)
    plan(category, percent=0)  # after a bad shift
    assert close(category).draws == 5
    judged(version, good=10)
    shift = close(category)
    assert (shift.plan.revision, shift.draws, shift.passed) == (2, 0, 10)


def test_at_least_so_many_where_there_are_as_many(version: ModelVersion):
    plan(version.category, percent=1, at_least=5)
    judged(version, good=20)
    assert close(version.category).draws == 5
    judged(version, good=3)
    assert close(version.category).draws == 3


def test_shifts_parts_and_decisions_are_append_only(version: ModelVersion, operator: User):
    plan(version.category, percent=100)
    judged(version, good=1)
    shift = close(version.category)
    services.decide(part=shift.parts.get(), verdict="good", actor=operator)
    for model, field in ((SamplingPlan, "at_least"), (AuditedShift, "passed"), (DrawnPart, "position")):
        with pytest.raises(DatabaseError), transaction.atomic():
            model._default_manager.update(**{field: 7})
    with pytest.raises(DatabaseError), transaction.atomic():
        BlindDecision.objects.all().delete()


def test_what_is_no_plan(version: ModelVersion, operator: User, user: User):
    with pytest.raises(Forbidden):
        plan(version.category, actor=operator)
    for wrong in ({"percent": 101}, {"percent": -1}, {"reason": " "}, {"controls": 5000}, {"shift_starts": ["x"]}):
        with pytest.raises(UserError, match=r"Nothing was (saved|changed)"):
            plan(version.category, **wrong)
    assert plan(version.category, actor=user).author == user
    assert AuditEvent.objects.filter(kind="sampling_plan.set").count() == 1


# ---------------------------------------------------------------- blind review
@pytest.fixture
def shift(version: ModelVersion) -> AuditedShift:
    plan(version.category, percent=50, controls=2)
    judged(version, good=12, defective=4)
    return close(version.category)


def by_outcome(shift: AuditedShift, outcome: str) -> list[DrawnPart]:
    return list(shift.parts.filter(inspection__outcome=outcome).order_by("position"))


def test_decisions_are_reviews_and_tell_the_share_of_escapes(shift: AuditedShift, operator: User):
    good = by_outcome(shift, "good")
    figures = selectors.shift_figures(shift)
    assert (figures["drawn"], figures["open"], figures["escapes"]) == (6, 6, [0, 12])
    for part, verdict in zip(good, ["good", "defective", "good", "good", "doubtful"], strict=False):
        services.decide(part=part, verdict=verdict, actor=operator, comment="seen")
    for part in by_outcome(shift, "defective"):
        services.decide(part=part, verdict="good", actor=operator)
    figures = selectors.shift_figures(shift)
    assert {name: figures[name] for name in ("good", "defective", "doubtful", "open")} == {
        **{"good": 3, "defective": 1, "doubtful": 1, "open": 1}
    }
    assert figures["escape_rate"] == 1 / 4
    assert figures["exact_escapes"] == list(hypergeometric_interval(1, 6, 12, unclear=2))
    assert figures["control"] == {"drawn": 2, "good": 2, "defective": 0, "doubtful": 0}
    decided = good[1].decision
    assert decided.review
    assert (decided.review.verdict, decided.review.agrees, decided.review.reviewer) == ("defective", False, operator)
    assert good[4].decision.review is None
    of_category = selectors.figures_of(category=shift.category)
    assert (of_category["drawn"], of_category["shifts"], of_category["escape_rate"]) == (6, 1, 1 / 4)
    assert of_category["exact_interval"][1] >= figures["exact_interval"][1]  # a process has no end
    attest_people()
    assert verify_all().sentence == ""


def test_a_part_is_decided_once(shift: AuditedShift, operator: User, user: User):
    part = by_outcome(shift, "good")[0]
    services.decide(part=part, verdict="doubtful", actor=operator)
    events = AuditEvent.objects.count()
    with pytest.raises(Conflict, match="meanwhile") as refused:
        services.decide(part=part, verdict="good", actor=user)
    assert refused.value.code == "blind_review_decided"
    assert AuditEvent.objects.count() == events


def test_who_inspected_or_reviewed_a_part_cannot_review_it_blind(version: ModelVersion, operator: User, user: User):
    plan(version.category, percent=100)
    [inspected] = judged(version, good=1, operator=operator)
    [reviewed] = judged(version, good=1)
    record_review(inspection=reviewed, verdict="good", actor=operator)
    shift = close(version.category)
    assert list(selectors.review_queue(operator)) == []
    assert selectors.review_queue(user).count() == 2
    for part in shift.parts.all():
        with pytest.raises(Conflict, match="not be blind"):
            services.decide(part=part, verdict="good", actor=operator)
    assert {part.inspection_id for part in shift.parts.all()} == {inspected.pk, reviewed.pk}


def test_who_may_not_review(shift: AuditedShift, auditor: User, operator: User):
    part = shift.parts.first()
    assert part
    with pytest.raises(Forbidden):
        services.decide(part=part, verdict="good", actor=auditor)
    for actor, verdict, comment in ((None, "good", ""), (operator, "fine", ""), (operator, "good", "x" * 2001)):
        with pytest.raises(UserError):
            services.decide(part=part, verdict=verdict, actor=actor, comment=comment)
    assert not BlindDecision.objects.exists()


def test_figures_of_a_threshold_are_those_of_what_it_passed(version: ModelVersion, operator: User):
    plan(version.category, percent=100)
    first = version.thresholds.get()
    judged(version, good=2)
    second = set_threshold(version=version, value=first.value * 2, method="manual", reason="test", actor=None)
    judged(version, good=3)
    shift = close(version.category)
    for part in shift.parts.all():
        services.decide(part=part, verdict="defective", actor=operator)
    assert selectors.figures_of(threshold_id=first.pk)["defective"] == 2
    assert selectors.figures_of(threshold_id=second.pk)["defective"] == 3
    assert selectors.figures_of(version_id=version.pk)["defective"] == 5
    assert selectors.figures_of(version_id=version.pk, since=shift.ends_at)["drawn"] == 0


def test_retention_leaves_drawn_images(shift: AuditedShift):
    set_policy(category=shift.category, reason="test", actor=None, good_after_days=1, keep_reviewed=False)
    drawn = {part.asset_id for part in shift.parts.all()}
    assert not discardable(now=timezone.now(), orphan_days=1).filter(pk__in=drawn).exists()


# ---------------------------------------------------------------- without the system
@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_random_audit", ROOT / "scripts" / "verify_random_audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def export(shift: AuditedShift, operator: User) -> dict[str, Any]:
    for part, verdict in zip(by_outcome(shift, "good"), ["good", "defective", "doubtful"], strict=False):
        services.decide(part=part, verdict=verdict, actor=operator)
    document: dict[str, Any] = json.loads(json.dumps(documents.export_document(shift)))
    return document


def test_an_export_is_verified_without_the_system(
    export: dict[str, Any], script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    log, file, checkpoint = tmp_path / "log.jsonl", tmp_path / "export.json", tmp_path / "checkpoint.json"
    sealed, _ = make_checkpoint(actor=None)
    checkpoint.write_text(json.dumps({"sequence": sealed.sequence, "head": sealed.head}))
    log.write_text("".join(lines_of(stream_events(AuditEvent.objects.all()))), encoding="utf-8")
    file.write_text(json.dumps(export))
    assert script.main([str(file), "--log", str(log), "--checkpoint", str(checkpoint)]) == 0
    said = capsys.readouterr().out
    assert "1 good, 1 defective, 1 doubtful, 3 open" in said
    assert said.endswith("Verified.\n")

    checkpoint.write_text(json.dumps({"sequence": sealed.sequence, "head": "0" * 64}))
    assert script.main([str(file), "--log", str(log), "--checkpoint", str(checkpoint)]) == 1
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:5] + lines[6:]))
    assert script.main([str(file), "--log", str(log)]) == 1
    assert "broken" in capsys.readouterr().err
    assert script.main([str(tmp_path / "nothing.json")]) == 1


def _other_seed(export: dict[str, Any]) -> None:
    export["seed"] = "0" * 64


def _another_part(export: dict[str, Any]) -> None:
    others = [one["inspection_id"] for one in export["population"] if one["inspection_id"] not in export["drawn"]]
    export["drawn"][0] = others[0]


def _part_left_out(export: dict[str, Any]) -> None:
    export["population"].pop()


def _verdict_of_the_model(export: dict[str, Any]) -> None:
    export["population"][0]["outcome"] = "defective"


def _decision(export: dict[str, Any]) -> None:
    next(one for one in export["decisions"] if one["verdict"] == "defective")["verdict"] = "good"


def _decision_event(export: dict[str, Any]) -> None:
    event = export["decision_events"][0]
    event["after"] = event["after"].replace("good", "doubtful")


def _decision_dropped(export: dict[str, Any]) -> None:
    export["decisions"].pop()


def _fewer_drawn(export: dict[str, Any]) -> None:
    event = export["closing_event"]
    event["after"] = event["after"].replace('"draws":6', '"draws":5')


def _figures(export: dict[str, Any]) -> None:
    export["figures"]["defective"] = 0


@pytest.mark.parametrize(
    "change",
    [
        *(_other_seed, _another_part, _part_left_out, _verdict_of_the_model, _decision, _decision_event),
        *(_decision_dropped, _fewer_drawn, _figures),
    ],
)
def test_whatever_was_changed_is_found(export: dict[str, Any], script: ModuleType, change: Any):
    script.verify(export)
    change(export)
    with pytest.raises(script.Wrong):
        script.verify(export)


def test_a_part_left_out_of_a_whole_forged_export_is_found_in_the_log(
    version: ModelVersion, export: dict[str, Any], script: ModuleType, tmp_path: Path
):
    """Somebody who makes a closing event of their own, with one part less, is found out by the log."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(lines_of(stream_events(AuditEvent.objects.all()))), encoding="utf-8")
    script.verify_in_log(export, str(log), None)
    export["population"] = export["population"][1:]
    with pytest.raises(script.Wrong, match="left out"):
        script.verify_in_log(export, str(log), None)


def test_the_draw_is_repeated_from_the_chain(shift: AuditedShift):
    assert selectors.mismatch(shift) == ""
    shift.population_sha256 = "0" * 64
    assert "parts of the shift" in selectors.mismatch(shift)
    shift.refresh_from_db()
    shift.seed = "0" * 64
    assert "draw gives" in selectors.mismatch(shift)
