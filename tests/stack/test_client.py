"""The Python client over HTTP: what waits for a worker is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mvtec_client import ApiProblem, Client, Unreachable
from mvtec_client.transport import Retry
from tests import parts
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def engineer(stack: Stack) -> Iterator[Client]:
    with Client(stack.address, stack.token) as client:
        client.load_model()
        yield client


@pytest.fixture
def admin(stack: Stack) -> Iterator[Client]:
    made = stack.manage(
        *("shell", "--verbosity", "0", "--command"),
        "from django.contrib.auth.models import Group, User; "
        "made = User.objects.get_or_create(username='ada')[0]; made.groups.add(Group.objects.get(name='admin'))",
    )
    assert made.returncode == 0
    token = stack.manage("create_token", "ada", f"suite {stack.port}").stdout.strip()
    with Client(stack.address, token) as client:
        yield client


def test_images_and_batches(engineer: Client, tmp_path: Path) -> None:
    record = engineer.inspect(parts.png(70_000, defective=True), lot="over HTTP", idempotency_key="first")
    assert record["is_defective"] is True
    again = engineer.inspect(parts.png(70_000, defective=True), lot="over HTTP", idempotency_key="first")
    assert again["inspection_id"] == record["inspection_id"]
    seen: list[int] = []
    batch = engineer.batch([parts.png(70_001 + number) for number in range(6)], lot="over HTTP")
    done = engineer.wait_for_batch(batch["batch_id"], timeout=60, progress=lambda now: seen.append(now["done"]))
    assert (done["status"], done["done"], seen[-1]) == ("finished", 6, 6)
    assert len(list(engineer.inspections(lot="over HTTP", page_size=2))) == 7
    table = engineer.export_inspections(tmp_path / "lot.csv", lot="over HTTP")
    assert len(table.read_text().splitlines()) == 8


def test_a_retention_run_is_carried_out_by_a_worker(admin: Client, engineer: Client) -> None:
    admin.set_retention_policy("disc", good_after_days=365, reason="the suite")
    with pytest.raises(ApiProblem) as problem:
        admin.start_retention_run("disc", dry_run=False)
    assert problem.value.code == "dry_run_missing"
    for dry_run in (True, False):
        for category in ("disc", None):
            asked = admin.start_retention_run(category, dry_run=dry_run)
            done = admin.wait_for_retention(asked["id"], timeout=90)
            assert (done["status"], done["images"], done["orphans"]) == ("finished", 0, 0)
    with pytest.raises(ApiProblem) as problem:
        engineer.start_retention_run()
    assert problem.value.status == 404


def test_where_nobody_answers() -> None:
    with Client("http://127.0.0.1:9", retry=Retry(attempts=2, first_pause=0.01)) as client, pytest.raises(Unreachable):
        client.status()
