"""Who may approve a version, and what goes into production without it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from common.errors import Conflict, UserError
from common.rights import Forbidden, Role
from modelzoo import services
from modelzoo.lifecycle.selectors import approval_in_force
from modelzoo.lifecycle.services import approve_version, withdraw_approval
from modelzoo.models import Approval, ModelVersion
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests.versions import another, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def second_engineer(db: None) -> User:
    engineer = User.objects.create_user("eva", password="a-long-password")
    engineer.groups.add(Group.objects.get(name=Role.ENGINEER))
    return engineer


def stage_of(version: ModelVersion) -> str:
    return ModelVersion.objects.get(pk=version.pk).stage


def test_a_candidate_is_approved_promoted_and_archived(version: ModelVersion, user: User) -> None:
    approve_version(version=version, reason=" line trial ", actor=user)
    assert stage_of(version) == "approved"
    approval = approval_in_force(version.pk)
    assert approval
    assert (approval.reason, approval.author) == ("line trial", user)
    event = AuditEvent.objects.get(kind="approval.given")
    assert version.artifact_sha256 in event.after, "the event says which artifact was approved"
    serve(version)
    assert stage_of(version) == "production"
    serve(another(version))
    assert stage_of(version) == "archived"
    assert approval_in_force(version.pk) == approval
    assert verify_chain().broken_at is None


def test_an_approval_is_withdrawn(version: ModelVersion, user: User) -> None:
    with pytest.raises(Conflict, match="not approved"):
        withdraw_approval(version=version, reason="x", actor=user)
    approve_version(version=version, reason="line trial", actor=user)
    with pytest.raises(Conflict, match="already approved"):
        approve_version(version=version, reason="again", actor=user)
    withdraw_approval(version=version, reason="wrong lamp", actor=user)
    assert stage_of(version) == "candidate"
    assert approval_in_force(version.pk) is None
    approve_version(version=version, reason="right lamp", actor=user)
    assert [row.approved for row in Approval.objects.order_by("pk")] == [True, False, True]
    serve(version)
    with pytest.raises(Conflict, match="is in production"):
        withdraw_approval(version=version, reason="x", actor=user)


def test_without_a_reason_or_the_right_nothing_changes(version: ModelVersion, operator: User, user: User) -> None:
    with pytest.raises(UserError, match="reason"):
        approve_version(version=version, reason="  ", actor=user)
    with pytest.raises(Forbidden):
        approve_version(version=version, reason="x", actor=operator)
    assert stage_of(version) == "candidate"
    assert not Approval.objects.exists()


def test_where_approval_is_required_the_trainer_cannot_give_it(
    version: ModelVersion, user: User, second_engineer: User, settings: Any
) -> None:
    settings.REQUIRE_APPROVAL = True
    ModelVersion.objects.filter(pk=version.pk).update(created_by=user)
    version.refresh_from_db()
    for act in (
        lambda: services.request_promotion(version=version, reason="best", actor=user),
        lambda: services.request_deployment(version=version, actor=user),
        lambda: services.request_deployment(version=version, actor=None),
    ):
        with pytest.raises(Conflict, match="not approved") as problem:
            act()
        assert problem.value.code == "approval_missing"
    with pytest.raises(Forbidden, match="trained by you"):
        approve_version(version=version, reason="mine", actor=user)
    with pytest.raises(Forbidden, match="signs in"):
        approve_version(version=version, reason="from the shell", actor=None)
    assert stage_of(version) == "candidate"
    approve_version(version=version, reason="line trial", actor=second_engineer)
    services.request_promotion(version=version, reason="approved by eva", actor=user)


def test_what_served_before_may_always_come_back(version: ModelVersion, user: User, settings: Any) -> None:
    """A rule that is switched on later must not keep a line from its old model."""
    second = another(version)
    serve(version)
    serve(second)
    settings.REQUIRE_APPROVAL = True
    assert services.request_rollback(category=version.category, reason="worse", actor=user).model_version == version
    services.request_deployment(version=second, actor=user, device="cpu")  # in production: only run another way


def test_approvals_are_append_only_and_have_a_reason(version: ModelVersion, user: User) -> None:
    approve_version(version=version, reason="line trial", actor=user)
    for act in (
        lambda: Approval.objects.update(reason="another"),
        lambda: Approval.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.create(model_version=version, approved=True, reason="")


def test_the_page_offers_what_is_possible(version: ModelVersion, signed_in: Client, settings: Any) -> None:
    page = signed_in.get(f"/models/{version.pk}/").content.decode()
    assert f"/models/{version.pk}/approve" in page
    assert f"/models/{version.pk}/promote" in page
    settings.REQUIRE_APPROVAL = True
    page = signed_in.get(f"/models/{version.pk}/").content.decode()
    assert f"/models/{version.pk}/promote" not in page
    assert "somebody has to approve it" in page
    answer = signed_in.post(f"/models/{version.pk}/approve", {"reason": "line trial"}, follow=True)
    assert "is approved" in answer.content.decode()
    assert f"/models/{version.pk}/promote" in answer.content.decode()
    answer = signed_in.post(f"/models/{version.pk}/withdraw-approval", {"reason": ""})
    assert answer.status_code == 400
    assert "needs a reason" in answer.content.decode()
    answer = signed_in.post(f"/models/{version.pk}/withdraw-approval", {"reason": "wrong lamp"}, follow=True)
    assert "was withdrawn" in answer.content.decode()
    assert stage_of(version) == "candidate"
