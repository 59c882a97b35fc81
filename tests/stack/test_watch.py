"""A camera's folder and a server-side folder, through the real stack, with processes that are killed in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import parts
from tests.environment import ROOT
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system with a loaded detector, whose batches may read one folder."""
    root = tmp_path_factory.mktemp("parts")
    with new_stack(trained(), BATCH_ROOTS=str(root)) as made:
        made.start()
        made.root = root  # type: ignore[attr-defined]
        with made.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
        yield made


class Watching:
    """`manage.py watch_folder` in a process of its own."""

    def __init__(self, stack: Stack, folder: Path, log: Path) -> None:
        self.log = log
        words = [str(folder), "--station", "camera 1", "--settle", "0.3", "--poll", "0.1", "--json", "--user", "ina"]
        words += ["--patience", "5"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "watch_folder", *words, "--pattern", r"(?P<serial_number>\d+)"],
                cwd=ROOT,
                env=stack.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def of_station(client: httpx.Client) -> list[dict[str, Any]]:
    found = client.get("/api/inspections", params={"station": "camera 1", "limit": 500}).json()
    return list(found["results"])


def test_a_camera_is_watched_whatever_is_killed(line: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    log = tmp_path / "watch.log"
    count = 24
    watching = [Watching(line, folder, log), Watching(line, folder, log)]
    try:
        with line.client() as client:
            for index in range(count):
                data = parts.png(index % 5, defective=index % 2 == 1)  # pictures repeat: parts do not
                with (folder / f"{index}.png").open("wb") as file:
                    file.write(data[: len(data) // 2])
                    file.flush()
                    time.sleep(0.15)
                    file.write(data[len(data) // 2 :])
                if index == 8:
                    wait_for(lambda: of_station(client), 60, log.read_text)
                    watching[0].kill()
                if index == 12:
                    assert line.kill("inference@")
                if index == 16:
                    watching[0] = Watching(line, folder, log)
                    watching[1].kill()
            (folder / "24.png").write_bytes(b"no image")
            done, failed = folder / "done", folder / "failed"
            wait_for(lambda: len(list(done.glob("*"))) == count and list(failed.glob("*.txt")), 120, log.read_text)
            records = of_station(client)
            assert sorted(int(record["serial_number"]) for record in records) == list(range(count))
            assert {record["source"] for record in records} == {"watcher"}
            assert {record["operator"] for record in records} == {"ina"}
            for record in records:
                assert record["is_defective"] is (int(record["serial_number"]) % 2 == 1)
        assert sorted(path.name for path in failed.iterdir()) == ["24.png", "24.png.txt"]
        assert [path for path in folder.iterdir() if path.is_file()] == []
        assert watching[0].stop() == 0
        assert "Stopped." in log.read_text()
    finally:
        for one in watching:
            one.kill()
    assert line.json("verify_audit")["broken_at"] is None


def test_a_folder_of_the_server_is_read_whatever_is_killed(line: Stack) -> None:
    root: Path = line.root  # type: ignore[attr-defined]
    folder = root / "lot7"
    folder.mkdir()
    for index in range(60):
        (folder / f"{index:02}.png").write_bytes(parts.png(index))
    (folder / "junk.png").write_bytes(b"junk")
    with line.client() as client:
        asked = client.post("/api/batches", json={"folder": "lot7"}, headers={"Idempotency-Key": "lot7"})
        assert asked.status_code == 202, asked.text
        address = asked.json()["url"]

        def state() -> dict[str, Any]:
            return dict(client.get(address, params={"results": "no"}).json())

        wait_for(lambda: state()["done"] > 0, 60)
        line.kill("inference@")
        again = client.post("/api/batches", json={"folder": "lot7"}, headers={"Idempotency-Key": "lot7"})
        assert (again.json()["url"], again.headers["Idempotent-Replay"]) == (address, "true")
        wait_for(lambda: state()["status"] == "finished", 120, lambda: json.dumps(state()))
        assert (state()["done"], state()["failed_by_code"]) == (60, {"not_an_image": 1})
        report = client.get(f"{address}/report", params={"format": "csv"})
        assert len(report.text.splitlines()) == 62

        called_off = client.post("/api/batches", json={"folder": str(folder)}).json()["url"]
        answer = client.post(f"{called_off}/cancel")
        assert answer.status_code in (200, 202)
        wait_for(lambda: client.get(called_off).json()["status"] == "cancelled", 60)
        assert client.get(called_off).json()["cancelled"] > 0
        assert client.post(f"{called_off}/cancel").status_code == 409
