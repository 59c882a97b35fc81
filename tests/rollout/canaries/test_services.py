"""Canaries: one station is judged by another version, and comes back to production in one act."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.judging.status import line_status
from inspection.models import Inspection
from inspection.tasks import warm
from modelzoo.lifecycle.selectors import Gates
from modelzoo.lifecycle.services import approve_version, set_promotion_gates, withdraw_approval
from modelzoo.loading import scoring
from modelzoo.loading.deployments import await_deployment
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import NoModelLoaded, active_canaries, deployment_in_force, rollback_target
from modelzoo.services import activate, archive_version, end_canary, request_canary, request_promotion, request_rollback
from records.audit.chain.audited_rows import verify_all
from records.models import AuditEvent
from rollout.canaries import selectors
from rollout.challengers.worker import work_on_challenger
from tests.chain import attest_people
from tests.modelzoo.test_admin import act
from tests.rollout.live import live, start, strict
from tests.versions import another, serve

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


@pytest.fixture
def candidate(version: ModelVersion) -> ModelVersion:
    return strict(version)


def canary_at(station: str, version: ModelVersion, **fields: Any) -> Deployment:
    """In force, as a worker that is called puts it."""
    asked = request_canary(version=version, station=station, reason="trial of May", actor=None, device="cpu", **fields)
    return await_deployment(deployment=asked)


def kinds(canary: Deployment) -> list[str]:
    events = AuditEvent.objects.filter(object_type="modelzoo.deployment", object_id=str(canary.pk))
    return list(events.order_by("sequence").values_list("kind", flat=True))


def test_it_judges_its_station_and_production_all_others(candidate: ModelVersion, version: ModelVersion, user: User):
    canary = canary_at("east", candidate)
    [there] = live(1, station="east")
    [elsewhere] = live(1, station="west")
    [nowhere] = live(1)
    assert (there.model_version, there.deployment, there.outcome) == (candidate, canary, "defective")
    assert {elsewhere.model_version, nowhere.model_version} == {version}
    candidate.refresh_from_db()
    version.refresh_from_db()
    assert (candidate.stage, version.stage) == ("candidate", "production"), "a canary changes no stage"
    assert deployment_in_force(station="east") == canary, "where no category is named, too"
    [shown] = line_status()["canaries"]
    assert (shown["station"], shown["model_version"], shown["reason"]) == ("east", candidate.pk, "trial of May")
    assert [one["model_version"] for one in line_status()["deployments"]] == [version.pk]
    end_canary(canary=canary, reason="rejects all", actor=user)
    [after] = live(1, begin=3, station="east")
    assert after.model_version == version, "from the next image on"
    assert kinds(canary) == ["deployment.requested", "deployment.activated", "canary.ended"]
    assert line_status()["canaries"] == []
    attest_people()
    assert verify_all().reason == ""


def test_a_worker_that_starts_holds_it_too(candidate: ModelVersion, version: ModelVersion):
    canary_at("east", candidate)
    scoring.unload_models()
    warm()
    held = {key[0] for key in scoring._loaded._models}
    assert held == {candidate.artifact_sha256, version.artifact_sha256}


def test_the_same_version_at_two_stations_and_no_other(candidate: ModelVersion, version: ModelVersion):
    canary_at("east", candidate)
    canary_at("west", candidate)
    assert [one.station for one in active_canaries()] == ["east", "west"]
    for station, other in (("north", another(version)), ("east", candidate)):
        with pytest.raises(Conflict, match="is the canary of station east"):
            canary_at(station, other)
    with pytest.raises(IntegrityError), transaction.atomic():
        Deployment.objects.create(
            category=version.category,
            model_version=candidate,
            kind="canary",
            station="east",
            reason="past the service",
            status="active",
            device_requested="cpu",
            activated_at=timezone.now(),
        )


def test_what_cannot_be_a_canary(candidate: ModelVersion, version: ModelVersion, operator: User, user: User):
    with pytest.raises(Forbidden):
        request_canary(version=candidate, station="east", reason="x", actor=operator)
    with pytest.raises(UserError, match="reason"):
        request_canary(version=candidate, station="east", reason=" ", actor=user)
    for station in ("", " ", "x" * 101):
        with pytest.raises(UserError, match="name of a station"):
            request_canary(version=candidate, station=station, reason="x", actor=user)
    with pytest.raises(Conflict, match="in production"):
        canary_at("east", version)
    with pytest.raises(NoModelLoaded):
        canary_at("east", another(version, category="cube"))
    set_promotion_gates(category=version.category, gates=Gates(min_challenger_images=9), reason="agreed", actor=user)
    with pytest.raises(Conflict, match="does not pass the promotion gates"):
        canary_at("east", candidate)
    set_promotion_gates(category=version.category, gates=Gates(), reason="agreed", actor=user)
    archived = another(version)
    archive_version(version=archived, reason="worse", actor=user)
    with pytest.raises(Conflict, match="is archived"):
        canary_at("east", archived)
    assert not Deployment.objects.filter(kind="canary").exists()


def test_approval_is_required_of_a_canary_too(candidate: ModelVersion, settings: Any, user: User):
    settings.REQUIRE_APPROVAL = True
    with pytest.raises(Conflict, match="is not approved"):
        canary_at("east", candidate)
    approve_version(version=candidate, reason="seen", actor=user)
    canary_at("east", candidate)
    with pytest.raises(Conflict, match="is the canary of station east"):
        withdraw_approval(version=candidate, reason="doubt", actor=user)
    with pytest.raises(Conflict, match="is the canary of station east"):
        archive_version(version=candidate, reason="worse", actor=user)


def test_another_version_in_production_ends_it(candidate: ModelVersion, version: ModelVersion, user: User):
    canary = canary_at("east", candidate)
    serve(version)  # loaded again, in another way perhaps
    assert active_canaries() == [canary]
    other = another(version)
    request_and_load(request_promotion(version=other, reason="better", actor=user))
    canary.refresh_from_db()
    assert (canary.status, active_canaries()) == ("replaced", [])
    [record] = live(1, station="east")
    assert record.model_version == other
    again = canary_at("east", candidate)
    assert rollback_target(version.category).model_version == version, "a canary is no step of production"
    request_and_load(request_rollback(category=version.category, reason="worse", actor=user))
    again.refresh_from_db()
    assert again.status == "replaced", "a rollback is of every station"
    assert (
        "went into production (rollback)"
        in AuditEvent.objects.filter(kind="canary.ended").order_by("-sequence")[0].after
    )


def request_and_load(deployment: Deployment) -> None:
    assert await_deployment(deployment=deployment).status == "active"


def test_its_own_promotion_ends_it(candidate: ModelVersion, user: User):
    canary_at("east", candidate)
    request_and_load(request_promotion(version=candidate, reason="proved itself", actor=user))
    candidate.refresh_from_db()
    assert (candidate.stage, active_canaries()) == ("production", [])


def test_what_changed_while_it_was_loaded_comes_first(
    candidate: ModelVersion, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
):
    from jobs import broker

    monkeypatch.setattr(broker, "publish", lambda *_: True)
    asked = request_canary(version=candidate, station="east", reason="trial", actor=None, device="cpu")
    serve(another(version))
    assert not activate(deployment=asked, device="cpu", worker="test")
    asked.refresh_from_db()
    assert (asked.status, asked.error_code) == ("failed", "superseded")
    asked = request_canary(version=candidate, station="east", reason="trial", actor=None, device="cpu")
    archive_version(version=candidate, reason="worse", actor=None)
    assert not activate(deployment=asked, device="cpu", worker="test")
    assert not active_canaries()


def test_ending(candidate: ModelVersion, operator: User, user: User):
    canary = canary_at("east", candidate)
    with pytest.raises(Forbidden):
        end_canary(canary=canary, reason="x", actor=operator)
    with pytest.raises(UserError, match="reason"):
        end_canary(canary=canary, reason=" ", actor=user)
    end_canary(canary=canary, reason="enough", actor=user)
    with pytest.raises(Conflict, match="judges nothing any more"):
        end_canary(canary=canary, reason="again", actor=user)
    with pytest.raises(Conflict, match="judges nothing any more"):
        end_canary(canary=deployment_in_force(), reason="production", actor=user)


def test_beside_production(candidate: ModelVersion, version: ModelVersion):
    live(2, station="east")
    live(1, begin=5, station="west")
    canary = canary_at("east", candidate)
    live(3, begin=10, station="east")
    live(1, begin=20, station="west")
    live(1, begin=30, station="west", defective=True)
    found = selectors.comparison_of(canary)
    assert (found.canary.good, found.canary.defective) == (0, 3)
    assert (found.elsewhere.good, found.elsewhere.defective) == (1, 1)
    span = timezone.now() - canary.activated_at  # type: ignore[operator]
    assert span.total_seconds() > 0
    assert found.before.judged <= 2
    assert found.canary.interval == pytest.approx([0.025 ** (1 / 3), 1.0])
    ended = end_canary(canary=canary, reason="enough", actor=None)
    live(2, begin=40, station="west")
    assert selectors.comparison_of(ended).elsewhere == found.elsewhere


def test_a_challenger_compares_with_production_alone(candidate: ModelVersion, version: ModelVersion):
    challenger = start(another(version))
    canary_at("east", candidate)
    live(2, station="east")
    live(1, begin=5, station="west")
    work_on_challenger(challenger_id=challenger.pk)
    [result] = challenger.results.all()
    assert result.inspection.model_version == version
    assert Inspection.objects.count() == 3


def test_the_administration_ends_it_and_rolls_back_production_alone(candidate: ModelVersion, admin_client: Client):
    canary = canary_at("east", candidate)
    assert "It is a canary" in act(admin_client, "deployment", "roll_back", canary)
    assert "Production judges the images of station east" in act(admin_client, "deployment", "end_canary", canary)
    canary.refresh_from_db()
    assert canary.status == "replaced"
