"""The administration as a whole: queries of each list and page, however many rows there are; sorting, days, links."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import FailedSignIns
from accounts.services import issue_token
from common.web.administration import Period, ServiceAdmin, _bounds
from inspection.benchmarks.synthetic import generate
from inspection.models import Inspection, SavedView
from modelzoo.lifecycle.selectors import Gates
from modelzoo.lifecycle.services import approve_version, set_promotion_gates
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import input_rules
from modelzoo.services import set_input_checks
from monitoring.alarms.services import open_alarm
from monitoring.models import Alarm
from records.models import Asset, AuditEvent
from retention.services import set_policy
from tests.conftest import person
from training.models import Dataset, DatasetImage, Evaluation, TrainingRun
from training.runs.options import threshold_rule

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql_too]

METRICS = {
    "threshold": 1.0,
    "image": {"auroc": 0.9, "f1": 0.8, "recall": 0.7, "false_reject_rate": 0.05, "intervals": {"auroc": [0.8, 0.95]}},
    "pixel": {"aupro": 0.85},
    "per_defect": {"scratch": {"n": 10, "recall": 0.7, "recall_interval": [0.4, 0.9]}},
}
# Of each list and of the page of a row: who asks (session, user, roles) and what is shown, however many rows there are.
QUERIES: dict[str, tuple[int, int]] = {
    "accounts/apitoken": (8, 5),
    "accounts/failedsignins": (5, 4),
    "auth/group": (5, 4),
    "auth/user": (7, 5),
    "inspection/batchrun": (8, 0),
    "inspection/inspection": (10, 14),
    "inspection/inspectionrequest": (5, 12),
    "inspection/review": (8, 4),
    "inspection/savedview": (5, 5),
    "inspection/standing": (7, 5),
    "modelzoo/approval": (8, 7),
    "modelzoo/category": (7, 6),
    "modelzoo/deployment": (8, 4),
    "modelzoo/inputchecksettings": (6, 6),
    "modelzoo/modelversion": (9, 15),
    "modelzoo/promotiongates": (6, 6),
    "modelzoo/scalecalibration": (6, 0),
    "modelzoo/threshold": (8, 4),
    "monitoring/alarm": (8, 7),
    "monitoring/alarmmessage": (5, 0),
    "monitoring/doubtfulperiod": (6, 0),
    "monitoring/driftmonitor": (6, 0),
    "monitoring/referencecheck": (8, 0),
    "monitoring/referencepart": (6, 0),
    "quality/auditedshift": (8, 0),
    "quality/containment": (8, 0),
    "quality/promiseresult": (6, 0),
    "quality/samplingplan": (6, 0),
    "records/asset": (5, 4),
    "records/auditcheckpoint": (5, 0),
    "records/auditevent": (10, 4),
    "records/auditverification": (5, 0),
    "retention/retentionpolicy": (6, 5),
    "retention/retentionrun": (8, 0),
    "training/dataset": (8, 7),
    "training/datasetimage": (6, 6),
    "training/evaluation": (8, 8),
    "training/evaluationrun": (8, 0),
    "training/trainingrun": (9, 4),
    "tuning/replayrun": (7, 0),
    "tuning/rescored": (5, 0),
    "tuning/rescoringrun": (8, 0),
}


@pytest.fixture
def ada(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def _rows(seed: int, admin_user: User) -> None:
    """A history with everything that people and services add to it."""
    generate(count=40, seed=seed, tell=lambda _: None)
    assets = list(Asset.objects.order_by("pk")[:4])
    somebody = person(f"somebody-{seed}", "engineer", "operator")
    for version in ModelVersion.objects.order_by("-pk")[:3]:
        ModelVersion.objects.filter(pk=version.pk).update(metrics=METRICS)
        dataset = Dataset.objects.create(
            name=f"set-{version.pk}",
            category=version.category,
            snapshot=f"{version.pk:064x}",
            source="/a/folder",
            created_by=somebody,
        )
        for number, asset in enumerate(assets):
            DatasetImage.objects.create(
                dataset=dataset, path=f"train/good/{number}.png", asset=asset, split="train", is_defective=False
            )
        Evaluation.objects.create(
            model_version=version,
            dataset=dataset,
            threshold=version.thresholds.get(revision=1),
            metrics=METRICS,
            created_by=somebody,
        )
        TrainingRun.objects.create(
            dataset=dataset,
            algorithm="padim",
            options={"epochs": 1},
            calibration=threshold_rule(),
            seed=0,
            status="succeeded",
            model_version=version,
            requested_by=somebody,
        )
        approve_version(version=version, reason="line trial", actor=somebody)
        alarm = open_alarm(
            kind=Alarm.Kind.DRIFT, category=version.category, station=f"s{seed}{version.pk}", sentence="x", details={}
        )
        assert alarm
    for category in Category.objects.all()[:3]:
        set_promotion_gates(category=category, gates=Gates(verify_artifact=True), reason="x", actor=somebody)
        set_input_checks(category=category, rules=input_rules(category.pk), reason="x", actor=somebody)
        set_policy(category=category, reason="x", actor=None)
    for name in ("a", "b"):
        issue_token(user=somebody, name=name, actor=somebody)
        SavedView.objects.create(owner=somebody, name=name, query="outcome=good")
        now = timezone.now()
        FailedSignIns.objects.create(kind="user", name=f"{name}{seed}", failures=3, since=now, forget_at=now)


def _administrations() -> Iterator[tuple[str, ServiceAdmin]]:
    for model, of in admin.site._registry.items():
        assert isinstance(of, ServiceAdmin), model
        yield f"{model._meta.app_label}/{model._meta.model_name}", of


def _count(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        response = client.get(address)
    assert response.status_code == 200, address
    return len(seen)


def _counts(client: Client) -> dict[str, tuple[int, int | None]]:
    counts = {}
    for name, of in _administrations():
        address = f"/admin/{name}/"
        row = of.model._default_manager.order_by("pk").last()
        counts[name] = (_count(client, address), None if row is None else _count(client, f"{address}{row.pk}/change/"))
    return counts


def test_no_list_and_no_page_asks_more_for_more_rows(ada: Client, administrator: User) -> None:
    _rows(1, administrator)
    _counts(ada)  # what a process asks once
    few = _counts(ada)
    _rows(2, administrator)
    many = _counts(ada)
    # One for each kind of row that the events of a page are about: which kinds these are, is chance.
    of_events = "records/auditevent"
    assert abs(many[of_events][0] - few[of_events][0]) <= 3
    assert many[of_events][0] <= QUERIES[of_events][0] + 3
    few[of_events] = many[of_events] = QUERIES[of_events]
    assert {name: (few[name], counts) for name, counts in many.items() if counts != few[name]} == {}
    measured = {name: (counts[0], counts[1] or 0) for name, counts in many.items()}
    assert {name: measured[name] for name in QUERIES} == QUERIES


def test_lists_sort_by_each_column_and_find(ada: Client, administrator: User) -> None:
    _rows(1, administrator)
    for name, of in _administrations():
        for column in range(1, len(of.list_display) + 1):
            for direction in ("", "-"):
                assert ada.get(f"/admin/{name}/", {"o": f"{direction}{column}"}).status_code == 200, name
        if of.search_fields:
            assert ada.get(f"/admin/{name}/", {"q": "a b%_'"}).status_code == 200, name
            assert ada.get(f"/admin/{name}/", {"q": "synthetic"}).status_code == 200, name


def test_versions_are_compared_by_a_figure_and_those_without_it_come_last(ada: Client, version: ModelVersion) -> None:
    from tests.versions import another

    best, none, null = another(version), another(version), another(version)
    for row, value in ((version, 0.5), (best, 0.75), (null, None)):
        ModelVersion.objects.filter(pk=row.pk).update(metrics={"image": {"auroc": value}, "pixel": None})
    address = "/admin/modelzoo/modelversion/"
    column = list(admin.site._registry[ModelVersion].list_display).index("auroc") + 1
    for direction, order in (("-", [best, version]), ("", [version, best])):
        shown = list(ada.get(address, {"o": f"{direction}{column}"}).context["cl"].result_list)
        assert shown[:2] == order
        assert set(shown[2:]) == {none, null}
    page = ada.get(address).content.decode()
    assert "0.750" in page
    assert reverse("threshold", args=[version.pk]) in page, "the threshold is on the list, and leads to its page"
    assert "threshold/add" not in page


def test_a_page_of_a_version_has_figures_and_no_document(ada: Client, administrator: User) -> None:
    _rows(1, administrator)
    version = Evaluation.objects.order_by("pk").last().model_version  # type: ignore[union-attr]
    page = ada.get(f"/admin/modelzoo/modelversion/{version.pk}/change/").content.decode()
    for words in (
        "AUROC, whole images",
        "0.900",
        "0.800\N{EN DASH}0.950",
        "line trial",
        "Model card",
        "Training run",
        "Records",
    ):
        assert words in page, words
    assert "{&#x27;" not in page
    assert f"{version.held_out_scores[0]}" not in page
    evaluation = Evaluation.objects.filter(model_version=version).get()
    page = ada.get(f"/admin/training/evaluation/{evaluation.pk}/change/").content.decode()
    assert "scratch" in page
    assert "{&#x27;" not in page


# ---------------------------------------------------------------- days
def test_days_are_drilled_down_to(ada: Client, administrator: User) -> None:
    generate(count=60, seed=1, tell=lambda _: None)
    address = "/admin/inspection/inspection/"
    day = timezone.localtime(Inspection.objects.order_by("created_at").first().created_at).date()  # type: ignore[union-attr]
    expected = [row for row in Inspection.objects.all() if timezone.localtime(row.created_at).date() == day]
    for when, rows in ((f"{day.year}", None), (f"{day:%Y-%m}", None), (f"{day}", expected)):
        page = ada.get(address, {"when": when})
        assert page.status_code == 200
        if rows is not None:
            assert page.context["cl"].result_count == len(rows)
    assert f"when={day}" in ada.get(address, {"when": f"{day:%Y-%m}"}).content.decode()
    assert ada.get(address, {"when": "0000-99"}).context["cl"].result_count == 60, "what is no day asks for nothing"


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("2024", (date(2024, 1, 1), date(2025, 1, 1))),
        ("2024-02", (date(2024, 2, 1), date(2024, 3, 1))),
        ("2024-12", (date(2024, 12, 1), date(2025, 1, 1))),
        ("2024-02-29", (date(2024, 2, 29), date(2024, 3, 1))),
        *(
            (wrong, None)
            for wrong in ("", "9999", "2023-02-29", "2024-13", "abcd", "2024-1", "9999-12", "\0", "2024-W01-1")
        ),
    ],
)
def test_periods(text: str, bounds: Any) -> None:
    assert _bounds(text) == bounds


def test_periods_ask_for_the_first_and_the_last_moment_alone(ada: Client) -> None:
    assert Period.of("at").column == "at"
    with CaptureQueriesContext(connection) as seen:
        ada.get("/admin/records/auditevent/")
    assert not [query["sql"] for query in seen if "DISTINCT" in query["sql"]]


def test_what_nobody_pages_through_is_not_counted(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(count=60, seed=1, tell=lambda _: None)
    monkeypatch.setattr("common.web.administration.MAX_COUNTED", 55)
    page = ada.get("/admin/inspection/inspection/").content.decode()
    assert "more than" in page


# ---------------------------------------------------------------- one door, one look
def test_every_model_of_the_product_has_its_place(ada: Client) -> None:
    page = ada.get("/admin/").content.decode()
    for name, _ in _administrations():
        assert f"/admin/{name}/" in page, name
    for words in ("Users and tokens", "Re-scoring and replay", 'class="rail"', reverse("users")):
        assert words in page
    assert "static/admin/" not in page, "nothing of Django's own look"


def test_links_across_lead_somewhere(ada: Client, administrator: User) -> None:
    _rows(1, administrator)
    lost = []
    for _, of in _administrations():
        row = of.model._default_manager.order_by("pk").last()
        links = [] if row is None else of.links(of.get_queryset(_request(ada, administrator)).get(pk=row.pk))
        for address, words in links:
            if "/api/" not in address and ada.get(address).status_code not in (200, 302):
                lost.append((of.opts.label, words, address))
    assert lost == []


def _request(client: Client, user: User) -> Any:
    from django.test import RequestFactory

    request = RequestFactory().get("/admin/")
    request.user = user
    return request


def test_who_may_not_administer_is_told_what_is_missing(user: User) -> None:
    engineer = Client()
    engineer.force_login(user)
    page = engineer.get("/admin/modelzoo/modelversion/", follow=True)
    assert page.status_code == 403
    assert "the right to administer" in page.content.decode()


def test_the_audit_log_reads_as_sentences(ada: Client, version: ModelVersion) -> None:
    approve_version(version=version, reason="line trial", actor=None)
    page = ada.get("/admin/records/auditevent/").content.decode()
    assert f"approved disc v{version.number}" in page
    event = AuditEvent.objects.get(kind="approval.given")
    page = ada.get(f"/admin/records/auditevent/{event.pk}/change/").content.decode()
    assert version.artifact_sha256 in page
