"""Parts of three views through the real stack: from a watched folder and from the API, one verdict, one certificate."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from tests import parts
from tests.environment import ROOT
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]
VIEWS = ("top", "left", "right")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system with a loaded detector and a layout of three views."""
    with new_stack(trained()) as made:
        made.start()
        with made.client() as client:
            category = client.post("/api/load_model", json={}).json()["category"]
            for name, seconds in (("housing", 60), ("quick", 2)):
                body = {
                    "time_limit_seconds": seconds,
                    "views": [{"name": view, "category": category} for view in VIEWS],
                    "reason": "three cameras",
                }
                assert client.put(f"/api/part-layouts/{name}", json=body).status_code == 201
        yield made


def files(*, defective: str = "", views: tuple[str, ...] = VIEWS, seed: int = 0) -> dict[str, Any]:
    return {
        view: (f"{view}.png", parts.png(seed + index, defective=view == defective)) for index, view in enumerate(views)
    }


@contextmanager
def signed_in(stack: Stack) -> Iterator[httpx.Client]:
    """Pages are for people with a session."""
    with httpx.Client(base_url=stack.address, timeout=90, headers={"Referer": stack.address}) as client:
        client.get("/login/")
        fields = {
            "username": "ina",
            "password": "a-long-password",
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }
        assert client.post("/login/", data=fields).status_code == 302
        yield client


def certificate_of(client: httpx.Client, part: dict[str, Any]) -> str:
    data = client.get(part["certificate_url"])
    assert data.headers["content-type"] == "application/pdf"
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data.content)).pages).split())


def test_a_part_from_the_api_has_one_verdict_and_one_certificate(line: Stack) -> None:
    with line.client() as client:
        fields = {"layout": "housing", "part_id": "A1", "lot": "L1", "serial_number": "S1"}
        answer = client.post("/api/parts", data=fields, files=files(defective="left"))
        assert answer.status_code == 200, answer.text
        part = answer.json()
        assert (part["outcome"], part["explanation"]) == ("defective", "Defective: left.")
        records = [client.get(view["inspection_url"]).json() for view in part["views"]]
        assert [record["is_defective"] for record in records] == [False, True, False]
        again = client.post("/api/parts", data=fields, files=files(defective="left"))
        assert again.json() == part
        assert again.headers["Idempotent-Replay"] == "true"

        for index, view in enumerate(VIEWS):
            one = {"layout": "housing", "part_id": "A2", "view": view}
            answer = client.post("/api/parts/views", data=one, files={"image": ("a.png", parts.png(10 + index))})
            assert answer.status_code == 200, answer.text
        assert answer.json()["outcome"] == "good"
    with signed_in(line) as page:
        text = certificate_of(page, part)
        assert "Part certificate: DEFECT" in text
        for words in ("View top: GOOD", "View left: DEFECT", "View right: GOOD", "S1", "L1"):
            assert words in text


def test_a_part_whose_view_does_not_come_is_closed_by_the_sweep(line: Stack) -> None:
    with line.client() as client:
        fields = {"layout": "quick", "part_id": "Q1"}
        begun = client.post("/api/parts", data=fields, files=files(views=("top", "left"))).json()
        assert (begun["status"], begun["outcome"], begun["missing"]) == ("open", None, ["right"])

        def closed() -> bool:
            return bool(client.get(begun["url"]).json()["status"] == "closed")

        wait_for(closed, 60, str)
        part = client.get(begun["url"]).json()
        assert (part["outcome"], part["explanation"]) == ("not_comparable", "Missing: right.")
        late = client.post("/api/parts", data=fields, files=files(views=("right",), seed=5))
        assert (late.status_code, late.json()["code"]) == (409, "part_closed")


def test_parts_from_a_watched_folder_whatever_is_killed(line: Stack, tmp_path: Path) -> None:
    folder, log = tmp_path / "camera", tmp_path / "watch.log"
    folder.mkdir()
    station = f"camera {uuid.uuid4().hex[:6]}"  # of this try: an id is one part for ever
    run = f"W{station[-6:]}"
    words = [str(folder), "--station", station, "--settle", "0.3", "--poll", "0.1", "--json", "--user", "ina"]
    words += ["--layout", "housing", "--pattern", r"(?P<part>W\w+-\d)_(?P<view>[a-z]+)\.png"]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "manage.py", "watch_folder", *words],
                cwd=ROOT,
                env=line.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    count, watching = 6, start()
    try:
        with line.client() as client:
            for index in range(count):
                for view in VIEWS:
                    data = parts.png(index, defective=index % 2 == 1 and view == "left")
                    (folder / f"{run}-{index}_{view}.png").write_bytes(data)
                    time.sleep(0.05)
                if index == 2:
                    assert line.kill("inference@")
                if index == 3:
                    watching.kill()
                    watching.wait()
                    watching = start()

            def records() -> list[dict[str, Any]]:
                closed = client.get("/api/parts", params={"station": station}).json()["results"]
                return list(closed) if len(closed) == count else []

            rows = wait_for(records, 120, log.read_text)
            found = {row["part_id"]: row["outcome"] for row in rows}
            assert found == {f"{run}-{index}": "defective" if index % 2 else "good" for index in range(count)}
            images = client.get("/api/inspections", params={"station": station, "limit": 500}).json()["results"]
            assert len(images) == 3 * count
        wait_for(lambda: len(list((folder / "done").glob("*"))) == 3 * count, 60, log.read_text)
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(timeout=60) == 0
        with signed_in(line) as page:
            [part] = [row for row in rows if row["part_id"] == f"{run}-1"]
            assert "Part certificate: DEFECT" in certificate_of(page, part)
    finally:
        watching.kill()
    verified = line.json("verify_audit", "--records")
    assert verified["broken_at"] is None
    assert verified["reason"] == ""
