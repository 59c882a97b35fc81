"""How long the server needs for each page that people open, with whatever history this database has.

A page is measured from the request to the last byte of its HTML, through all middleware, signed in, in this process:
all there is but the web server. Beside the time stands the processor time of this process, which is what the page needs
where nothing else runs; a database in another process is not in it. Nothing that is written for it stays.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from common.benchmarks import Tell
from common.errors import Conflict, UserError
from inspection.models import BatchRun, Inspection, PartRequest
from modelzoo.models import Deployment, ModelVersion
from records.models import AuditEvent, AuditVerification
from training.models import Dataset, Evaluation, TrainingRun

PARTS = ("line-status", "line-today", "run-live")  # what pages ask for again and again
_WITHOUT_OBJECT = (
    *("line", "line-status", "line-today", "history", "history-figures", "thresholds", "models", "training"),
    *("training-new", "datasets", "dataset-from-reviews", "batches", "audit", "settings", "retention", "help"),
    *("parts", "part-layouts"),
    *("problems", "canaries", "challengers", "quality", "blind-review", "review-queue", "containments", "promises"),
    "measurement-studies",
    *("monitoring", "reference-parts", "connections", "edge-nodes"),
    *("users", "user-new"),
    *("reports", "issued-reports", "report-schedules", "statements"),
)
# The lists of the administration that grow, and those that are opened most: by their names here, those of their URLs.
_ADMINISTRATION = {"admin": "admin:index"} | {
    f"admin-{model.partition('_')[2]}": f"admin:{model}_changelist"
    for model in (
        *("modelzoo_modelversion", "modelzoo_deployment", "modelzoo_threshold", "training_dataset"),
        *("inspection_inspection", "inspection_inspectionrequest", "inspection_review", "inspection_standing"),
        *("records_asset", "records_auditevent", "auth_user"),
    )
}
_OF_RECORD = ("inspection", "inspection-similar")
_OF_VERSION = ("threshold", "model", "model-card")
_TRAINED = TrainingRun.objects.filter(model_version__isnull=False).order_by("-id")
_OF_NEWEST: Mapping[str, QuerySet[Any]] = {
    "batch-page": BatchRun.objects.order_by("-created_at", "-id"),
    "part": PartRequest.objects.order_by("-opened_at", "-id"),
    "dataset": Dataset.objects.order_by("-id"),
    "run": _TRAINED,
    "run-live": _TRAINED,
    "run-report": _TRAINED,
    "evaluation": Evaluation.objects.order_by("-id"),
    "user": User.objects.order_by("-id"),
    "audit-event": AuditEvent.objects.order_by("-sequence"),
    "audit-verification": AuditVerification.objects.order_by("-id"),
}
# The same of apps on floors above, which are not imported here: the name of the model.
_OF_NEWEST_ABOVE = {
    "audited-shift": "quality.AuditedShift",
    "challenger": "rollout.Challenger",
    "connection": "edge.Connection",
    "containment": "quality.Containment",
    "issued-report": "reports.IssuedReport",
}
# All that `addresses` knows of, where there is something of each kind.
NAMES = frozenset(
    (
        *_WITHOUT_OBJECT,
        *_ADMINISTRATION,
        *_OF_RECORD,
        *_OF_VERSION,
        *_OF_NEWEST,
        "canary",
        "history-sheet",
        "input-checks",
        "promotion-gates",
        "signature-rules",
        "scales",
        "size-rule",
        "models-compare",
        "ignored-regions",
        *_OF_NEWEST_ABOVE,
    )
)


def addresses() -> dict[str, str]:
    """The address of every page and part of a page, by the name of its URL; of things, the newest that exists."""
    urls = {name: reverse(name) for name in _WITHOUT_OBJECT}
    urls |= {name: reverse(url) for name, url in _ADMINISTRATION.items()}
    records = Inspection.objects.order_by("-created_at", "-id").select_related("category", "model_version")
    record = records.filter(outcome=Inspection.Outcome.DEFECTIVE).first() or records.first()
    if record:
        urls |= {name: reverse(name, args=[record.pk]) for name in _OF_RECORD}
        urls |= {name: reverse(name, args=[record.model_version_id]) for name in _OF_VERSION}
        urls["input-checks"] = reverse("input-checks", args=[record.category.name])
        urls["scales"] = reverse("scales", args=[record.category.name])
        urls["size-rule"] = reverse("size-rule", args=[record.model_version_id])
        urls["promotion-gates"] = reverse("promotion-gates", args=[record.category.name])
        urls["signature-rules"] = reverse("signature-rules", args=[record.category.name])
        urls["history-sheet"] = f"{urls['history']}?{urlencode({'view': 'sheet', 'category': record.category.name})}"
    version = record.model_version if record else ModelVersion.objects.order_by("-id").first()
    if version:
        urls["ignored-regions"] = f"{reverse('ignored-regions')}?{urlencode({'version': version.pk})}"
    other = version and ModelVersion.objects.filter(category=version.category).exclude(pk=version.pk).last()
    if version and other:
        urls["models-compare"] = f"{reverse('models-compare')}?{urlencode({'a': version.pk, 'b': other.pk})}"
    canary = Deployment.objects.filter(activated_at__isnull=False).exclude(station="").order_by("-id").first()
    if canary:
        urls["canary"] = reverse("canary", args=[canary.pk])
    newest = {name: things.first() for name, things in _OF_NEWEST.items()}
    newest |= {name: apps.get_model(model)._default_manager.first() for name, model in _OF_NEWEST_ABOVE.items()}
    return urls | {name: reverse(name, args=[one.pk]) for name, one in newest.items() if one}


def measure(*, rounds: int, tell: Tell) -> dict[str, Any]:
    """The median of so many rounds for each page, after one that is not counted."""
    if not Inspection.objects.exists():
        raise Conflict(
            "There is no history to measure on. Nothing was done. Make one in a database of its own: "
            "manage.py generate_history --count 100000."
        )
    with transaction.atomic():
        try:
            return {"inspections": Inspection.objects.count(), **_pages(rounds, tell)}
        finally:
            transaction.set_rollback(True)


def as_text(document: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in document.items())


def _pages(rounds: int, tell: Tell) -> dict[str, float]:
    _put_something_in_force()
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create(username="benchmark of pages", is_superuser=True))
    figures: dict[str, float] = {}
    for name, address in addresses().items():
        tell(address)
        _milliseconds(client, address)
        rounds_of_it = [_milliseconds(client, address) for _ in range(rounds)]
        for kind, times in zip(("ms", "cpu_ms"), zip(*rounds_of_it, strict=True), strict=True):
            figures[f"{name.replace('-', '_')}_{kind}"] = round(statistics.median(times), 1)
    processor = [value for name, value in figures.items() if name.endswith("_cpu_ms")]
    return figures | {"slowest_page_ms": max(figures.values()), "slowest_page_cpu_ms": max(processor)}


def _put_something_in_force() -> None:
    """A synthetic history has no model in force, and a line without one has little to show."""
    if not Deployment.objects.filter(status=Deployment.Status.ACTIVE).exists():
        last = Inspection.objects.order_by("-created_at", "-id").values("deployment")[:1]
        Deployment.objects.filter(pk__in=last).update(status=Deployment.Status.ACTIVE, ended_at=None)


def _milliseconds(client: Client, address: str) -> tuple[float, float]:
    """By the clock, and of the processor."""
    began, worked = time.perf_counter(), time.process_time()
    response = client.get(address, secure=True)
    took, processor = time.perf_counter() - began, time.process_time() - worked
    if response.status_code != 200:
        raise UserError(f"GET {address} answered {response.status_code} instead of a page. Nothing was kept.")
    return took * 1000, processor * 1000
