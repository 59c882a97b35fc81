"""Writes: policies, and the runs that carry them out.

A file goes in two steps. In one transaction it is marked as discarded and the audit chain says so; once that is
committed it is deleted and its name is emptied. A crash in between leaves a name on a discarded row: the next real
run begins by deleting those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.models import Inspection
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.models import Category
from modelzoo.services import actor_id, required_reason
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import Asset
from retention import leftovers, selectors
from retention.models import RetentionPolicy, RetentionRun

log = logging.getLogger(__name__)
RETENTION_RUNS = JobKind(RetentionRun, "retention.tasks.work")
Progress = Callable[[RetentionRun], None]

_WINDOW = 2000  # files looked at in one query
_MAX_DISCARDED_AT_ONCE = 200  # files discarded in one transaction: nobody else writes to the audit chain meanwhile
_MAX_LINES = 500  # of one audit event
_MAX_EXAMPLES = 10
_SLICE_SECONDS = 20.0  # a run lets other work of its queue pass at least this often


# ---------------------------------------------------------------- policies
@transaction.atomic
def set_policy(
    *,
    category: Category,
    reason: str,
    actor: Actor,
    good_after_days: int | None = None,
    good_keep_every: int = 0,
    maps_after_days: int | None = None,
    defective_after_days: int | None = None,
    keep_reviewed: bool = True,
) -> RetentionPolicy:
    """A new revision of a category's policy, in force at once. Without any days it keeps everything.

    Raises `Forbidden`, and `UserError` for a missing reason. What is gone stays gone.
    """
    require(actor, Right.ADMINISTER)
    reason = required_reason(reason, "A retention rule")
    Category.objects.select_for_update(no_key=True).get(pk=category.pk)
    last = selectors.policy_in_force(category)
    policy = RetentionPolicy.objects.create(
        category=category,
        revision=last.revision + 1 if last else 1,
        good_after_days=good_after_days,
        good_keep_every=good_keep_every,
        maps_after_days=maps_after_days,
        defective_after_days=defective_after_days,
        keep_reviewed=keep_reviewed,
        reason=reason,
        author_id=actor_id(actor),
    )
    audit(
        kind="retention_policy.set",
        subject=category,
        actor=actor,
        before=_rule(last) if last else None,
        after=_rule(policy),
        attests=[policy],
        changes_subject=False,
    )
    return policy


def _rule(policy: RetentionPolicy) -> dict[str, Any]:
    """What a policy says, without who and when: the event has those."""
    document = selectors.policy_document(policy)
    return {name: value for name, value in document.items() if name not in ("id", "category", "author", "created_at")}


# ---------------------------------------------------------------- asking for runs
@transaction.atomic
def request_run(*, policy: RetentionPolicy | None, dry_run: bool, actor: Actor, here: bool = False) -> RetentionRun:
    """Write a run down, of a category's policy or (without one) of orphaned files, and call a worker for it.

    `here`: the caller, at the server's command line, carries it out. Anybody else needs a dry run of the same rule
    before a real one. Raises `Forbidden`, `Conflict` where that is missing, the policy is no longer in force, or such
    a run is under way.
    """
    require(actor, Right.ADMINISTER)
    orphan_days = None if policy else settings.ORPHAN_DAYS
    if policy and selectors.policy_in_force(policy.category) != policy:
        raise Conflict(
            f"Revision {policy.revision} is no longer active. Nothing was changed. Check the active revision.",
            code="retention_policy_replaced",
        )
    if not here and not dry_run and not selectors.was_rehearsed(policy=policy, orphan_days=orphan_days):
        raise Conflict(
            f"There is no finished preview of {policy or 'orphaned files'}. Nothing was deleted. Preview deletion "
            "first, check the result, then try again.",
            code="dry_run_missing",
        )
    if RETENTION_RUNS.open().filter(policy=policy).exists():
        raise Conflict(
            "Such a run is in progress. Nothing was changed. Wait until it has ended.", code="retention_run_open"
        )
    run = RetentionRun.objects.create(
        policy=policy,
        orphan_days=orphan_days,
        dry_run=dry_run,
        lease_expires_at=RETENTION_RUNS.lease(),
        requested_by_id=actor_id(actor),
    )
    audit(kind="retention_run.requested", subject=run, actor=actor, after=_about(run))
    if not here:
        transaction.on_commit(publish_next)
    return run


def request_daily_runs() -> list[RetentionRun]:
    """A run of every policy in force, and one of orphaned files; nothing where there is no policy.

    A rule that was never rehearsed is rehearsed first and carried out the day after: there is a day to look at it.
    """
    in_force = list(selectors.policies_in_force())
    runs = []
    for policy in [*in_force, None] if in_force else []:
        orphan_days = None if policy else settings.ORPHAN_DAYS
        dry_run = not selectors.was_rehearsed(policy=policy, orphan_days=orphan_days)
        try:
            runs.append(request_run(policy=policy, dry_run=dry_run, actor=None))
        except Conflict as conflict:
            log.info("%s: %s", policy or "orphaned files", conflict.detail)
    return runs


def publish_next() -> None:
    """Call a worker for the run that waits longest."""
    run = RetentionRun.objects.filter(status=RetentionRun.Status.QUEUED).order_by("pk").first()
    if run:
        RETENTION_RUNS.publish(run.pk)


# ---------------------------------------------------------------- carrying a run out
def work_on_run(*, run_id: int, seconds: float | None = _SLICE_SECONDS, progress: Progress | None = None) -> bool:
    """Carry a run on, for so many seconds or to its end. False where it is not to be had: over, or others run.

    What is done is committed step by step together with how far the run is: whoever comes next goes on from there.
    """
    claim = _take(run_id)
    if claim is None:
        return False
    run = selectors.find_run(run_id)

    def step() -> bool:
        more = _step(run, claim)
        if more and progress:
            progress(run)
        return more

    try:
        if not run.dry_run:
            _delete_pending()
        if not claim.in_slices(step, seconds=seconds):
            return True
    except ClaimLost:
        log.warning("Retention run %s was taken over by another worker.", run_id)
        return False
    except (UserError, OSError) as error:
        _fail(run, claim, error)
    else:
        _finish(run, claim)
    publish_next()
    return True


def _take(run_id: int) -> Claim[RetentionRun] | None:
    """Two never run at once: the database refuses a second running row."""
    try:
        with transaction.atomic():
            return RETENTION_RUNS.take(run_id)
    except IntegrityError:
        return None


def _save_progress(run: RetentionRun, claim: Claim[RetentionRun], *fields: str) -> None:
    """Write down how far a run is, and renew its lease; raises `ClaimLost` where it is somebody else's by now."""
    claim.renew(**{name: getattr(run, name) for name in fields})


_COUNTS = ("images", "maps", "orphans", "leftovers", "size_bytes", "oldest", "examples", "first_sha256", "last_sha256")


def _step(run: RetentionRun, claim: Claim[RetentionRun]) -> bool:
    """The next window of files, or the next folder of the storage. False when there is nothing more to look at."""
    ids = list(
        selectors.live_assets().filter(pk__gt=run.last_asset).order_by("pk").values_list("pk", flat=True)[:_WINDOW]
    )
    if ids:
        assets = list(_may_go(run).filter(pk__gt=run.last_asset, pk__lte=ids[-1]).order_by("pk"))
        if run.dry_run:
            _count(run, assets)
        else:
            for begin in range(0, len(assets), _MAX_DISCARDED_AT_ONCE):
                _discard(run, claim, [asset.pk for asset in assets[begin : begin + _MAX_DISCARDED_AT_ONCE]])
        run.last_asset = ids[-1]
        _save_progress(run, claim, "last_asset", *_COUNTS)
        return True
    if run.policy is not None or run.folders_done >= leftovers.FOLDERS:
        return False
    if run.folders_done == 0:
        _take_leftovers(run, claim, leftovers.in_var_dir(run.created_at))
    _take_leftovers(run, claim, leftovers.in_storage(run.folders_done, run.created_at))
    run.folders_done += 1
    _save_progress(run, claim, "folders_done", *_COUNTS)
    return True


def _may_go(run: RetentionRun) -> Any:
    assets = selectors.discardable(now=run.created_at, orphan_days=settings.ORPHAN_DAYS)
    if run.policy is not None:
        return selectors.of_category(assets, run.policy.category_id)
    if not run.orphan_days:
        return assets.none()
    return selectors.of_nobody(assets, run.before(run.orphan_days))


def _kind_of(run: RetentionRun, asset: Any) -> str:
    if run.policy is None:
        return "orphan"
    return "image" if asset.is_image else "map"


def _count(run: RetentionRun, assets: Sequence[Any]) -> None:
    for asset in assets:
        what = _kind_of(run, asset)
        setattr(run, f"{what}s", getattr(run, f"{what}s") + 1)
        run.first_sha256 = min(run.first_sha256 or asset.sha256, asset.sha256)
        run.last_sha256 = max(run.last_sha256, asset.sha256)
        run.oldest = min(run.oldest or asset.created_at, asset.created_at)
        run.size_bytes += asset.size_bytes
        _add_example(run, what, asset.sha256, asset.size_bytes)


def _add_example(run: RetentionRun, what: str, name: str, size: int) -> None:
    if len(run.examples) < _MAX_EXAMPLES:
        run.examples = [*run.examples, {"what": what, "name": name, "size_bytes": size}]


@transaction.atomic
def _discard(run: RetentionRun, claim: Claim[RetentionRun], ids: Sequence[int]) -> None:
    """Mark files as discarded, with the audit events that name them; they are deleted once that is committed.

    They are locked first and judged again then: nobody can begin to use one any more, and who began before is seen.
    What somebody uses at this moment is not waited for. The chain comes before the files: see `lock_audit_chain`.
    """
    lock_audit_chain()
    if run.policy is not None and selectors.policy_in_force(run.policy.category) != run.policy:
        raise Conflict(
            f"Revision {run.policy.revision} was replaced during the run. The remaining files are kept.",
            code="retention_policy_replaced",
        )
    free = Asset.objects.select_for_update(skip_locked=True).filter(pk__in=ids)
    locked = list(free.values_list("pk", flat=True))
    assets = list(_may_go(run).filter(pk__in=locked).order_by("pk"))
    if not assets:
        return
    asset_ids = [asset.pk for asset in assets]
    Asset.objects.filter(pk__in=asset_ids).update(discarded_at=timezone.now())
    _count(run, assets)
    run.last_asset = ids[-1]
    _save_progress(run, claim, "last_asset", *_COUNTS)
    _report(run, assets)
    transaction.on_commit(partial(_delete_files, asset_ids))


def _report(run: RetentionRun, assets: Sequence[Any]) -> None:
    """Audit events with a line for each file and record it belonged to, so that one can be asked for by either."""
    lines: list[dict[str, Any]] = []

    def write() -> None:
        audit(kind=selectors.DISCARDED, subject=run, actor=run.requested_by, after=_about(run) | {"files": list(lines)})
        lines.clear()

    for asset in assets:
        what = _kind_of(run, asset)
        records = Inspection.objects.filter(**{"map" if what == "map" else "asset": asset.pk})
        has_records = False
        for record in records.order_by().values_list("pk", flat=True).iterator(chunk_size=_MAX_LINES):
            lines.append({"sha256": asset.sha256, "what": what, "inspection": str(record)})
            has_records = True
            if len(lines) == _MAX_LINES:
                write()
        if not has_records:
            lines.append({"sha256": asset.sha256, "what": what, "inspection": None})
        if len(lines) == _MAX_LINES:
            write()
    if lines:
        write()


@transaction.atomic
def _delete_files(ids: Sequence[int]) -> None:
    """Delete the files of discarded assets and empty their names. One that came back in the meantime stays."""
    locked = Asset.objects.select_for_update(skip_locked=True).filter(pk__in=ids, discarded_at__isnull=False)
    asset_ids = []
    for asset in locked.exclude(file=""):
        asset.file.storage.delete(str(asset.file.name))
        asset_ids.append(asset.pk)
    Asset.objects.filter(pk__in=asset_ids).update(file="")


def _delete_pending() -> None:
    """Files whose assets were discarded before a crash."""
    pending = Asset.objects.filter(discarded_at__isnull=False).exclude(file="").order_by("pk")
    last = 0
    while ids := list(pending.filter(pk__gt=last).values_list("pk", flat=True)[:_MAX_DISCARDED_AT_ONCE]):
        _delete_files(ids)
        last = ids[-1]


def _take_leftovers(run: RetentionRun, claim: Claim[RetentionRun], items: Iterable[leftovers.AnyLeftover]) -> None:
    for leftover in items:
        _save_progress(run, claim)  # a folder may hold more than is removed within one lease
        if not run.dry_run and not leftover.remove():
            continue
        run.leftovers += 1
        run.size_bytes += leftover.size_bytes
        run.oldest = min(run.oldest or leftover.changed_at, leftover.changed_at)
        _add_example(run, "leftover", leftover.name, leftover.size_bytes)


@transaction.atomic
def _finish(run: RetentionRun, claim: Claim[RetentionRun]) -> None:
    if claim.end(status=RetentionRun.Status.FINISHED):
        audit(kind="retention_run.finished", subject=run, actor=run.requested_by, after=_about(run) | _totals(run))


@transaction.atomic
def _fail(run: RetentionRun, claim: Claim[RetentionRun], error: Exception) -> None:
    """End a run with the reason. What it did until then stays done, and is in the audit log."""
    if isinstance(error, UserError):
        code, sentence = error.code, error.detail
    else:
        log.exception("Retention run %s failed.", run.pk, exc_info=error)
        code, sentence = (
            "storage_failed",
            f"A file could not be deleted ({getattr(error, 'strerror', None) or error}). The next run tries again.",
        )
    if claim.end(status=RetentionRun.Status.FAILED, error_code=code, error=sentence):
        after = _about(run) | _totals(run) | {"code": code, "error": sentence}
        audit(kind="retention_run.failed", subject=run, actor=run.requested_by, after=after)


def _about(run: RetentionRun) -> dict[str, Any]:
    """What a run is, as every one of its events says it."""
    if run.policy is None:
        return {"category": None, "orphan_days": run.orphan_days, "dry_run": run.dry_run}
    return {
        "category": run.policy.category.name,
        "policy_revision": run.policy.revision,
        "dry_run": run.dry_run,
    }


def _totals(run: RetentionRun) -> dict[str, Any]:
    names = ("images", "maps", "orphans", "leftovers", "size_bytes", "first_sha256", "last_sha256")
    return {name: getattr(run, name) for name in names}
