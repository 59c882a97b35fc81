"""The client and the server are killed at random while parts are inspected, on both ways in."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="asyncua is not installed (requirements-edge.txt)")
from tests import parts
from tests.edge.modbus.test_faults import deliveries, trouble
from tests.edge.opcua.client import entries
from tests.edge.opcua.test_sender import make_client_certificate
from tests.environment import ROOT
from tests.stack.conftest import Stack, free_port, new_stack, trained, wait_for

pytestmark = pytest.mark.stack
_PREPARE = """
import json
from django.contrib.auth.models import Group, User
from accounts.services import issue_token
from edge.connections.services import create_connection
from modelzoo.models import Category
settings = json.loads({settings!r})
settings["recipes"] = settings["recipes"].replace("CATEGORY", Category.objects.get().name)
create_connection(name="mes", kind="opcua", station="east", actor=None, settings=settings)
user = User.objects.create_user("mes")
user.groups.add(Group.objects.get(name="operator"))
print("TOKEN " + issue_token(user=user, name="mes", actor=None)[1])
"""


class Mes:
    """The client in a process of its own."""

    def __init__(self, command: list[str], file: Path) -> None:
        self._command, self.file = command, file
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, cwd=ROOT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        time.sleep(random.Random(self.process.pid).uniform(0, 1.5))
        self.start()

    def results(self) -> list[dict[str, Any]]:
        return entries(self.file, "result")


def connected(stack: Stack, folder: Path, number: int) -> Mes:
    """The connection, a token, a trusted certificate, and the client with all of it."""
    pictures = folder / "pictures"
    pictures.mkdir()
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "bind": "127.0.0.1",
        "port": port,
        "jobs": number > 0,
        "recipes": "3 = CATEGORY",
        "picture_folder": str(pictures),
        "picture_settle_ms": 0,
        "acknowledge_ms": 1000,
    }
    certificate, key = make_client_certificate(folder / "client")
    trusted = stack.var_dir / "opcua" / "trusted"
    trusted.mkdir(parents=True)
    (trusted / "client.der").write_bytes(certificate.read_bytes())
    out = stack.manage("shell", "-c", _PREPARE.format(settings=json.dumps(settings))).stdout
    token = out.rpartition("TOKEN ")[2].strip()
    own = stack.var_dir / "opcua" / "own" / "certificate.der"
    wait_for(own.exists, 60, stack.log.read_text)
    words = [f"opc.tcp://127.0.0.1:{port}/inspection", certificate, key, own, "mes", token, folder / "mes"]
    jobs = [pictures, number] if number else []
    command = [sys.executable, "-m", "tests.edge.opcua.client", *map(str, [*words, *jobs])]
    return Mes(command, folder / "mes")


def check(mes: Mes, rows: list[dict[str, Any]]) -> None:
    """What the client noted against what was recorded."""
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["status"] for row in rows} == {"sent"}
    by_sequence = {row["sequence"]: row for row in rows}
    seen: dict[int, str] = {}
    numbers = []
    for entry in mes.results():
        result = entry["result"]
        if not (sequence := result["Sequence"]):
            assert result["Verdict"] == "no_verdict", "without a record there is no other verdict"
            continue
        assert result["Verdict"] == by_sequence[sequence]["verdict"]
        assert entry["at"] >= by_sequence[sequence]["recorded_at"], "before its record"
        assert sequence not in seen or result["IsDuplicate"], "an unmarked duplicate"
        assert seen.setdefault(sequence, result["ResultId"]) == result["ResultId"]
        numbers.append(sequence)
    assert set(seen) == set(by_sequence), f"lost: {set(by_sequence) - set(seen)}"
    assert numbers == sorted(numbers), "out of order"


@pytest.mark.parametrize("number", [30, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("has_jobs", [False, True])
def test_every_verdict_is_acknowledged_whatever_is_killed(tmp_path: Path, number: int, has_jobs: bool) -> None:
    with new_stack(trained(), EDGE_TRIGGER_ROOTS=str(tmp_path)) as stack:
        stack.start()
        with stack.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
        mes = connected(stack, tmp_path, number if has_jobs else 0)
        acts = [mes.restart, mes.restart, lambda: stack.kill("run_connections")]
        try:
            with trouble(acts, lambda: len(mes.results())), stack.client() as client:
                for part in range(0 if has_jobs else number):
                    files = {"image": (f"{part}.png", parts.png(part % 60, defective=part % 3 == 0))}
                    answer = client.post("/api/test_image", files=files, data={"station": "east"})
                    assert answer.status_code == 200, answer.text
                    time.sleep(0.2)
                if has_jobs:
                    wait_for(lambda: _last_job(mes) >= number, 60 + 15 * number, stack.log.read_text)
            wait_for(lambda: _is_quiet(stack, 1 if has_jobs else number), 120, stack.log.read_text)
            rows = deliveries(stack)
            assert len(rows) == number if not has_jobs else len(rows) > number // 2
            check(mes, rows)
        finally:
            mes.kill()


def _last_job(mes: Mes) -> int:
    return max((entry["started"] for entry in entries(mes.file, "started")), default=0)


def _is_quiet(stack: Stack, at_least: int) -> bool:
    """Whether nothing waits any more."""
    rows = deliveries(stack)
    return len(rows) >= at_least and all(row["status"] == "sent" for row in rows)
