"""Reads: policies, runs, and which files may go.

Which files may go is said once, as conditions of the database, and asked three times: when a dry run counts, when a
real run looks for candidates, and again when it has them locked.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, ForeignObjectRel, Max, OuterRef, Q, QuerySet, Subquery

from common.errors import NotFound
from inspection.models import Inspection, InspectionRequest, Review
from modelzoo.models import Category
from modelzoo.selectors import find_category
from records.models import Asset, AuditEvent
from retention.models import RetentionPolicy, RetentionRun

DISCARDED = "retention.discarded"
_GOOD = Q(outcome=Inspection.Outcome.GOOD) & ~Q(standing__verdict=Review.Verdict.DEFECTIVE)
# Uses that a policy has a say in. Any other reference to a file holds it: data sets, and whatever will come.
_GOVERNED = {(Inspection, "asset"), (Inspection, "map"), (InspectionRequest, "asset")}


# ---------------------------------------------------------------- policies
def policies() -> QuerySet[RetentionPolicy]:
    return RetentionPolicy.objects.select_related("category", "author")


def policies_in_force() -> QuerySet[RetentionPolicy]:
    """The highest revision of each category that has one."""
    last = RetentionPolicy.objects.filter(category=OuterRef("category")).order_by().values("category")
    return policies().filter(revision=Subquery(last.annotate(last=Max("revision")).values("last")))


def policy_in_force(category: Category) -> RetentionPolicy | None:
    return policies().filter(category=category).order_by("-revision").first()


def find_policy(policy_id: int) -> RetentionPolicy:
    policy = policies().filter(pk=policy_id).first()
    if policy is None:
        raise NotFound(f"There is no retention rule {policy_id}.", code="retention_policy_not_found")
    return policy


def policy_of(category: str) -> RetentionPolicy:
    """The policy in force of a category by name. Raises `NotFound` where there is no such category or policy."""
    policy = policy_in_force(find_category(category))
    if policy is None:
        raise NotFound(
            f"{category} has no retention rule: all its files are kept. Set one first (manage.py set_retention).",
            code="retention_policy_not_found",
        )
    return policy


# ---------------------------------------------------------------- runs
def runs() -> QuerySet[RetentionRun]:
    return RetentionRun.objects.select_related("policy__category", "requested_by")


def find_run(run_id: int) -> RetentionRun:
    run = runs().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no retention run {run_id}.", code="retention_run_not_found")
    return run


def runs_that_took(sha256: str) -> QuerySet[RetentionRun]:
    """The runs that removed this file (several, when it came back in between), by the audit events that say so."""
    events = AuditEvent.objects.filter(kind=DISCARDED, after__contains=sha256)
    return runs().filter(pk__in=[int(number) for number in events.values_list("object_id", flat=True)])


def was_rehearsed(*, policy: RetentionPolicy | None, orphan_days: int | None) -> bool:
    """Whether a dry run of the same rule has finished, so that somebody could see what it would do."""
    return RetentionRun.objects.filter(
        policy=policy, orphan_days=orphan_days, dry_run=True, status=RetentionRun.Status.FINISHED
    ).exists()


def rehearsed_policy_ids(rules: Iterable[RetentionPolicy]) -> set[int]:
    """Which of these policies `was_rehearsed`, asked at once."""
    runs = RetentionRun.objects.filter(policy__in=list(rules), dry_run=True, status=RetentionRun.Status.FINISHED)
    return {number for number in runs.values_list("policy", flat=True).distinct() if number is not None}


# ---------------------------------------------------------------- which files may go
def live_assets() -> QuerySet[Asset]:
    return Asset.objects.filter(discarded_at__isnull=True)


def discardable(*, now: datetime, orphan_days: int) -> QuerySet[Asset]:
    """Files that every use of them lets go, at a moment, under the policies in force.

    `orphan_days`: how long the image of a request that led to no record is kept; 0 is for ever.
    """
    in_force = list(policies_in_force())
    before = now - timedelta(days=orphan_days)
    request_holds = Q(status__in=InspectionRequest.OPEN) | ~Q(status=InspectionRequest.Status.DONE) & (
        Q(created_at__gte=before) if orphan_days else Q()
    )
    return live_assets().filter(
        ~_is_used(Inspection, "asset", _any_of(in_force, functools.partial(_holds_image, now=now))),
        ~_is_used(Inspection, "map", _any_of(in_force, functools.partial(_holds_map, now=now))),
        ~_is_used(InspectionRequest, "asset", request_holds),
        *(~_is_used(model, name) for model, name in _other_uses()),
    )


def of_category(assets: QuerySet[Asset], category_id: int) -> QuerySet[Asset]:
    """Images and maps of the records of a category; `is_image` tells them apart."""
    return assets.filter(
        _is_used(Inspection, "asset", Q(category=category_id)) | _is_used(Inspection, "map", Q(category=category_id))
    ).annotate(is_image=_is_used(Inspection, "asset"))


def of_nobody(assets: QuerySet[Asset], before: datetime) -> QuerySet[Asset]:
    """Images that no record refers to, kept since before a moment."""
    return assets.filter(~_is_used(Inspection, "asset"), ~_is_used(Inspection, "map"), created_at__lt=before)


def stays_in_thinning(keep_every: int) -> Q:
    """Of a record: its image is among the one in so many that stay.

    It follows from the content alone, so that each run chooses the same, and the one in 20 are among the one in 10.
    """
    if keep_every == 0:
        return Q(pk__in=[])
    limit = "g" if keep_every == 1 else f"{16**64 // keep_every:064x}"
    return Q(asset__sha256__lt=limit)


def _holds_image(policy: RetentionPolicy, *, now: datetime) -> Q:
    return (
        (Q(standing__isnull=False) if policy.keep_reviewed else Q(pk__in=[]))
        | _GOOD & (_younger(policy.good_after_days, now) | stays_in_thinning(policy.good_keep_every))
        | ~_GOOD & _younger(policy.defective_after_days, now)
    )


def _holds_map(policy: RetentionPolicy, *, now: datetime) -> Q:
    """A map goes with its image, or before it where the policy says so; then only that of a good part."""
    is_reviewed = Q(standing__isnull=False) if policy.keep_reviewed else Q(pk__in=[])
    return _holds_image(policy, now=now) & (is_reviewed | ~_GOOD | _younger(policy.maps_after_days, now))


def _younger(days: int | None, now: datetime) -> Q:
    """All records, where no number of days is set."""
    return ~Q(pk__in=[]) if days is None else Q(created_at__gt=now - timedelta(days=days))


def _any_of(in_force: Iterable[RetentionPolicy], holds: Any) -> Q:
    """Records that hold a file: by the policy of their category, and always where it has none."""
    policies = {policy.category_id: policy for policy in in_force}
    each = (Q(category=category) & holds(policy) for category, policy in policies.items())
    return functools.reduce(operator.or_, each, ~Q(category__in=list(policies)))


def _is_used(model: Any, name: str, condition: Q | None = None) -> Exists:
    rows = model._default_manager.filter(**{name: OuterRef("pk")})
    return Exists(rows if condition is None else rows.filter(condition))


@functools.cache
def _other_uses() -> tuple[tuple[Any, str], ...]:
    relations = Asset._meta.get_fields(include_hidden=True)
    uses = [
        (relation.related_model, relation.field.name)
        for relation in relations
        if isinstance(relation, ForeignObjectRel)
    ]
    return tuple(use for use in uses if use not in _GOVERNED)


# ---------------------------------------------------------------- documents
def policy_document(policy: RetentionPolicy) -> dict[str, Any]:
    return {
        "id": policy.pk,
        "category": policy.category.name,
        "revision": policy.revision,
        "good_after_days": policy.good_after_days,
        "good_keep_every": policy.good_keep_every,
        "maps_after_days": policy.maps_after_days,
        "defective_after_days": policy.defective_after_days,
        "keep_reviewed": policy.keep_reviewed,
        "reason": policy.reason,
        "author": policy.author.get_username() if policy.author else None,
        "created_at": policy.created_at.isoformat(),
    }


def run_document(run: RetentionRun) -> dict[str, Any]:
    def moment(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return {
        "id": run.pk,
        "category": run.policy.category.name if run.policy else None,
        "policy": run.policy_id,
        "policy_revision": run.policy.revision if run.policy else None,
        "orphan_days": run.orphan_days,
        "dry_run": run.dry_run,
        "status": run.status,
        "images": run.images,
        "maps": run.maps,
        "orphans": run.orphans,
        "leftovers": run.leftovers,
        "size_bytes": run.size_bytes,
        "oldest": moment(run.oldest),
        "examples": run.examples,
        "first_sha256": run.first_sha256,
        "last_sha256": run.last_sha256,
        "code": run.error_code,
        "detail": run.error,
        "requested_by": run.requested_by.get_username() if run.requested_by else None,
        "created_at": run.created_at.isoformat(),
        "started_at": moment(run.started_at),
        "finished_at": moment(run.finished_at),
    }
