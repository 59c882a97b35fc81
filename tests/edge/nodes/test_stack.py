"""Two installations: a node that is offline for a while, then online, with everything killed at random meanwhile.

The centre has each record once, both audit chains verify, and one changed byte on the node is found.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import parts
from tests.edge.test_faults import trouble
from tests.stack.conftest import Stack, new_stack, peopled, trained, wait_for

pytestmark = pytest.mark.stack
STATION = "east"


@pytest.mark.parametrize("number", [12, pytest.param(200, marks=pytest.mark.long)])
def test_a_node_that_was_offline_forwards_each_record_once(tmp_path: Path, number: int) -> None:
    with new_stack(trained()) as centre:
        made = centre.manage("create_node", "line-1", "--station", STATION)
        settings = {
            "EDGE_CENTRE_URL": centre.address,
            "EDGE_CENTRE_TOKEN": made.stdout.strip(),
            "EDGE_NODE_NAME": "line-1",
            "EDGE_PRIVATE_HOSTS": "127.0.0.1",
        }
        with new_stack(peopled(), **settings) as node:
            _give_model(centre, node, tmp_path)
            records = _judge_offline(node, number)
            _go_online(centre, node)
            _check(centre, node, records)
            _check_that_changes_are_found(node)


def _give_model(centre: Stack, node: Stack, folder: Path) -> None:
    package = folder / "disc.zip"
    told = centre.json("export_model", "latest", "--output", str(package))
    assert "model" in node.manage("edge", "--setup", check=False).stderr
    node.json("import_model", str(package), "--fingerprint", told["fingerprint"])


def _judge_offline(node: Stack, number: int) -> dict[str, dict[str, Any]]:
    """The centre does not run. Everything is killed in the end; of many parts also after half of them."""
    records = {}
    middle = number // 2 if number > 20 else number
    for half in filter(len, (range(middle), range(middle, number))):
        node.start("edge")
        with node.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
            for part in half:
                files = {"image": (f"{part}.png", parts.png(part % 60, defective=part % 3 == 0))}
                data = {"station": STATION, "serial_number": str(part)}
                answer = client.post("/api/test_image", files=files, data=data)
                assert answer.status_code == 200, answer.text
                records[answer.json()["inspection_id"]] = answer.json()
        node.kill()
    status = node.json("edge", "--status")
    assert (status["waiting"], status["forwarded"], status["dead_letters"]) == (number, 0, 0)
    assert status["last_contact"] is None
    return records


def _go_online(centre: Stack, node: Stack) -> None:
    centre.start()
    node.start("edge")
    chance = random.Random(3)
    acts: list[Callable[[], object]] = [
        lambda: node.kill("run_connections"),
        lambda: centre.kill("gunicorn"),
        lambda: time.sleep(chance.uniform(0, 1)),
    ]

    def is_forwarded() -> bool:
        return bool(node.json("edge", "--status")["waiting"] == 0)

    def explain() -> str:
        return node.manage("edge", "--status").stderr + (node.var_dir / "logs" / "connections.log").read_text()[-3000:]

    with trouble(acts, seconds=1.5):
        time.sleep(3)
    wait_for(is_forwarded, 240, explain)
    wait_for(lambda: _answers(centre), 60)  # perhaps it was killed once more

    def is_anchored() -> bool:
        with centre.client() as client:
            [listed] = client.get("/api/edge-nodes").json()["results"]
        return bool(0 < listed["anchored_event"] == node.json("edge", "--status")["anchored_event"])

    wait_for(is_anchored, 60, explain)


def _answers(centre: Stack) -> bool:
    with contextlib.suppress(httpx.HTTPError), centre.client() as client:
        return client.get("/healthz").status_code == 200
    return False


def _check(centre: Stack, node: Stack, records: dict[str, dict[str, Any]]) -> None:
    with centre.client() as client:
        answer = client.get("/api/inspections", params={"limit": 200}).json()
        assert answer["next"] is None
        there = {record["serial_number"]: record for record in answer["results"]}
        assert len(there) == len(answer["results"]) == len(records)
        for record in records.values():
            same = ("outcome", "score", "created_at", "station", "filename")
            assert {n: there[record["serial_number"]][n] for n in same} == {n: record[n] for n in same}
        one = there["0"]["inspection_id"]
        assert client.get(f"/api/inspections/{one}/image").content == parts.png(0, defective=True)
        assert client.get(f"/api/inspections/{one}/overlay").status_code == 200
        [listed] = client.get("/api/edge-nodes").json()["results"]
        assert (listed["name"], listed["records"]) == ("line-1", len(records))
    report = centre.json("verify_node", "line-1")
    assert (report["records"], report["faults"]) == (len(records), [])
    assert "unbroken" in centre.manage("verify_audit", "--records", "--files").stderr
    told = node.json("edge", "--verify")
    assert (told["forwarded"], told["faults"]) == (len(records), [])
    assert told["anchors"] > 0
    assert told["receipts"] == told["anchors"]


@contextmanager
def _untriggered(node: Stack, table: str) -> Iterator[sqlite3.Connection]:
    """Somebody who knows what they do: the triggers are there again afterwards, as they were."""
    with closing(sqlite3.connect(node.var_dir / "db.sqlite3")) as database, database:
        found = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
        )
        triggers = found.fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        yield database
        for _, statement in triggers:
            database.execute(statement)


def _check_that_changes_are_found(node: Stack) -> None:
    def verdict() -> str:
        done = node.manage("edge", "--verify", check=False)
        assert done.returncode == 1
        return done.stderr

    query = "SELECT id, serial_number FROM inspection_inspection ORDER BY created_at LIMIT 1"
    with _untriggered(node, "inspection_inspection") as database:
        [(key, serial)] = database.execute(query)
        database.execute("UPDATE inspection_inspection SET serial_number = '1' WHERE id = ?", (key,))
    said = verdict()
    assert "serial_number is '1'" in said
    assert "is not what the centre took" in said
    with _untriggered(node, "inspection_inspection") as database:
        database.execute("UPDATE inspection_inspection SET serial_number = ? WHERE id = ?", (serial, key))
    image = next((node.var_dir / "media").rglob("assets/*/*/*.png"))
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.chmod(0o644)
    image.write_bytes(data)
    assert "is another one than its hash says" in verdict()
    data[len(data) // 2] ^= 1
    image.write_bytes(data)
    # The newest events taken away: what is left fits, and only the centre knows better.
    with _untriggered(node, "records_auditevent") as database:
        database.execute(
            "DELETE FROM records_auditevent WHERE sequence = (SELECT MAX(sequence) FROM records_auditevent)"
        )
    said = verdict()
    assert "the chain here has another event there" in said
    assert "it was changed after event" in said
