"""Who may read /metrics, what is in it when something is away, and that it costs the same whatever the history."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from jobs import broker
from jobs.metrics import publishing
from jobs.metrics.definitions import GAUGES, INSPECTIONS, MAX_CATEGORIES, OTHER, REGISTRY
from modelzoo.models import Category
from modelzoo.selectors import category_label
from mvtec_site.health import collector
from tests.environment import ROOT
from tests.mvtec_site.test_settings import manage

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a-token-for-the-metrics"


@pytest.fixture
def token(settings: Any) -> dict[str, str]:
    settings.METRICS_TOKEN = TOKEN
    return {"Authorization": f"Bearer {TOKEN}"}


def values(**headers: str) -> dict[str, dict[tuple[str, ...], float]]:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


# ---------------------------------------------------------------- who may
def test_nobody_may_unless_it_was_set_up(real_broker: redis.Redis, admin_user: User) -> None:
    client = Client()
    client.force_login(admin_user)
    for caller in (Client(), client):
        answer = caller.get("/metrics")
        assert (answer.status_code, answer.json()["code"]) == (403, "metrics_not_allowed")
        assert b"mvtec_" not in answer.content


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Token {TOKEN}", f"Basic {TOKEN}", "Bearer é", TOKEN])
def test_a_wrong_token_is_refused(token: dict[str, str], sent: str) -> None:
    answer = Client().get("/metrics", headers={"Authorization": sent})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_the_token_and_nothing_but_reading(token: dict[str, str], real_broker: redis.Redis) -> None:
    assert Client().get("/metrics", headers=token).status_code == 200
    assert Client().post("/metrics", headers=token).status_code == 405


@pytest.mark.parametrize(
    ("networks", "proxies", "forwarded", "allowed"),
    [
        (["127.0.0.0/8"], 0, "", True),
        (["127.0.0.1"], 0, "", True),
        (["10.0.0.0/8"], 0, "", False),
        (["127.0.0.0/8"], 0, "10.0.0.1", False),  # a proxy that nobody counted speaks for anybody
        (["127.0.0.0/8"], 1, "203.0.113.9", False),
        (["203.0.113.0/24"], 1, "203.0.113.9", True),
        (["203.0.113.0/24"], 1, "203.0.113.9, 198.51.100.1", False),  # the caller wrote the first one
        ([], 0, "", False),
    ],
)
def test_networks(
    real_broker: redis.Redis, settings: Any, networks: list[str], proxies: int, forwarded: str, allowed: bool
) -> None:
    settings.METRICS_NETWORKS, settings.PROXIES = networks, proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert Client().get("/metrics", headers=headers).status_code == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("name", "value"),
    [("METRICS_TOKEN", "short"), ("METRICS_NETWORKS", "0.0.0.0/0"), ("METRICS_NETWORKS", "the plant")],
)
def test_a_setting_that_opens_it_to_all_stops_the_start(name: str, value: str) -> None:
    done = manage("check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- what is in it
def test_every_metric_that_is_defined_is_there(token: dict[str, str], real_broker: redis.Redis, version: Any) -> None:
    from retention.models import RetentionRun

    found = values(**token)
    later = {"mvtec_audit_checkpoint_age_seconds", "mvtec_retention_last_run_timestamp_seconds"}
    labelled_later = {name for name, one in GAUGES.items() if set(one.labels) & {"host", "task"}}
    assert GAUGES.keys() - found.keys() <= later | labelled_later
    assert RetentionRun.objects.count() == 0
    assert found["mvtec_ready"]["database",] == 1
    assert found["mvtec_scrape_incomplete"]["broker",] == 0


def test_queues_have_a_length_and_an_age(token: dict[str, str], real_broker: redis.Redis) -> None:
    from celery import current_app

    assert values(**token)["mvtec_queue_oldest_message_seconds"]["inference",] == 0
    real_broker.lpush("inference", '{"headers": {"published_at": 1000000000.5}}')
    real_broker.lpush("training", "not JSON")
    found = values(**token)
    assert found["mvtec_queue_messages"]["inference",] == 1
    assert found["mvtec_queue_oldest_message_seconds"]["inference",] > 10**8
    assert found["mvtec_queue_oldest_message_seconds"]["training",] == 0
    assert current_app.conf.task_default_queue == "inference"


def test_without_a_broker_the_database_answers_and_the_other_way_round(
    token: dict[str, str], no_broker: None, valkey: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mvtec_site.health import readiness

    found = values(**token)
    assert found["mvtec_scrape_incomplete"] == {("broker",): 1, ("database",): 0}
    assert found["mvtec_inspections_waiting"][()] == 0
    assert "mvtec_queue_messages" not in found

    settings.REDIS_URL = valkey
    broker.client.cache_clear()
    broker.quick_client.cache_clear()
    readiness.forget()

    def gone() -> Any:
        yield from ()
        raise collector.DatabaseError("gone")

    monkeypatch.setattr(collector, "_of_database", gone)
    found = values(**token)
    assert found["mvtec_scrape_incomplete"] == {("broker",): 0, ("database",): 1}
    assert "mvtec_queue_messages" in found


def test_looking_them_up_takes_as_many_queries_whatever_there_is(
    token: dict[str, str], real_broker: redis.Redis, deployment: Any
) -> None:
    with CaptureQueriesContext(connection) as queries:
        list(collector._of_database())
    assert len(queries) <= 20
    if connection.vendor == "sqlite":
        for query in queries.captured_queries:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            if "inspection_inspectionrequest" in query["sql"]:
                assert "USING INDEX queued_requests_by_model" in plan or "COVERING INDEX queued" in plan, plan


def test_what_was_counted_is_labelled_by_category_up_to_a_number_of_them(db: None) -> None:
    category_label.cache_clear()
    Category.objects.bulk_create([Category(name=f"part-{number}") for number in range(MAX_CATEGORIES + 2)])
    labels = [category_label(pk) for pk in Category.objects.order_by("pk").values_list("pk", flat=True)]
    category_label.cache_clear()
    assert labels[0] == "part-0"
    assert labels[MAX_CATEGORIES - 1] == f"part-{MAX_CATEGORIES - 1}"
    assert labels[MAX_CATEGORIES:] == [OTHER, OTHER]


def test_an_inspection_is_counted_once_it_is_committed(
    real_broker: redis.Redis, deployment: Any, user: User, worker: None
) -> None:
    from inspection.judging import services
    from tests import parts

    category_label.cache_clear()
    before = _sum(INSPECTIONS)
    services.inspect_image(
        data=parts.png(1), submission=services.Submission(filename="a.png", source="api", actor=user)
    )
    assert _sum(INSPECTIONS) == before + 1
    publishing.flush()


def _sum(counter: Any) -> float:
    return sum(
        sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    table = dict(row.strip("| \n").split(" | ", 1) for row in text.splitlines() if row.startswith("| `mvtec_"))
    assert table == dict(collector.table_rows())
    assert len(table) == len(GAUGES) + len(list(REGISTRY.collect()))
