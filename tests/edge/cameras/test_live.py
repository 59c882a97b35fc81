"""The live view: what is shown of a camera, to whom, and that nothing old looks like something of now."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from edge.cameras import live, selectors
from edge.cameras.services import FrameFacts, record_frame
from edge.connections.services import create_connection
from edge.models import Connection
from inspection.models import InspectionRequest
from tests.edge.line import inspected, webhook

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


@pytest.fixture(autouse=True)
def _var(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.VAR_DIR = tmp_path
    # Whatever else this machine does: what is shown here is new for half a minute, and old after that.
    monkeypatch.setattr(live, "STALE_SECONDS", 30.0)
    monkeypatch.setattr(selectors, "CURRENT_SECONDS", 60.0)


@pytest.fixture
def camera() -> Connection:
    made: Connection = create_connection(
        name="east camera", kind="camera", station="east", settings={"source": "usb"}, actor=None
    )
    return made


def jpeg(shade: int = 90) -> bytes:
    done, data = cv2.imencode(".jpg", numpy.full((48, 64, 3), shade, numpy.uint8))
    assert done
    return data.tobytes()


def show(camera: Connection, *, age: float = 0.0, data: bytes = b"") -> None:
    live.write_live(camera.pk, data or jpeg())
    moment = time.time() - age
    os.utime(live._path(camera.pk), (moment, moment))


def taken(camera: Connection, seed: int, *, defective: bool = False, age: float = 0.0) -> InspectionRequest:
    """A record of a frame of the camera."""
    request = inspected(seed, defective=defective, station="east").request
    facts = FrameFacts(camera.pk, camera.name, "Viky 1", seed + 1, timezone.now(), 1500.0, 6.5, 0)
    record_frame(request=request, facts=facts, actor=None)
    return request


def text(client: Client, path: str, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def addresses(camera: Connection) -> list[str]:
    return [f"/connections/{camera.pk}/live/{part}" for part in ("", "state", "frame")]


def test_the_newest_frame_and_the_last_verdict(signed_in: Client, camera: Connection):
    page, state, frame = addresses(camera)
    assert "No frame yet" in text(signed_in, page)
    assert "No current verdict" in text(signed_in, state)
    assert signed_in.get(frame).status_code == 404
    show(camera)
    taken(camera, 1, defective=True)
    answer = signed_in.get(frame)
    assert (answer["Content-Type"], answer.content) == ("image/jpeg", jpeg())
    for path in (page, state, frame):
        assert "no-store" in signed_in.get(path)["Cache-Control"]
    said = text(signed_in, state)
    assert "DEFECT" in said
    assert 'class="badge defective live-word"' in said
    assert "<svg" in said, "a symbol, not colour alone"
    assert "east camera" in text(signed_in, page)
    taken(camera, 2)
    assert "GOOD" in text(signed_in, state)
    assert "Live view" in text(signed_in, f"/connections/{camera.pk}/")


def test_an_old_verdict_does_not_look_like_one_of_now(signed_in: Client, camera: Connection, monkeypatch: Any):
    state = addresses(camera)[1]
    show(camera)
    taken(camera, 1)
    assert 'class="badge good' in text(signed_in, state)
    monkeypatch.setattr(selectors, "CURRENT_SECONDS", 0.0)
    said = text(signed_in, state)
    assert "No current verdict" in said
    assert "The last one was GOOD" in said
    assert "badge" not in said


def test_nothing_is_of_now_when_the_camera_is_silent(signed_in: Client, camera: Connection):
    page, state, frame = addresses(camera)
    taken(camera, 1)
    show(camera, age=60)
    said = text(signed_in, state)
    assert "No frame for 6" in said
    assert "No current verdict" in said
    assert 'data-version=""' in said
    assert signed_in.get(frame).status_code == 404
    assert "hidden" in text(signed_in, page)


def test_a_frame_that_is_being_judged_or_was_not_has_no_verdict(signed_in: Client, camera: Connection):
    state = addresses(camera)[1]
    show(camera)
    request = taken(camera, 1)
    newer = InspectionRequest.objects.create(
        asset=request.asset, model_version=request.model_version, filename="2.png", source="edge", station="east"
    )
    facts = FrameFacts(camera.pk, camera.name, "Viky 1", 9, timezone.now(), None, None, 0)
    record_frame(request=newer, facts=facts, actor=None)
    said = text(signed_in, state)
    assert "PENDING" in said
    assert "badge good" not in said
    assert "The last one was GOOD" in said
    InspectionRequest.objects.filter(pk=newer.pk).update(status="expired")
    said = text(signed_in, state)
    assert "NO VERDICT" in said
    assert "GOOD" not in said


def test_without_frames_that_were_judged_it_is_the_verdict_of_the_station(signed_in: Client, camera: Connection):
    state = addresses(camera)[1]
    show(camera)
    inspected(1, defective=True, station="west")
    assert "DEFECT" not in text(signed_in, state)
    inspected(2, defective=True, station="east")
    assert "DEFECT" in text(signed_in, state)


def test_who_may_look(signed_in: Client, camera: Connection, operator: User, client: Client):
    show(camera)
    for path in addresses(camera):
        assert client.get(path).status_code in (302, 401)
        assert signed_in.post(path).status_code == 405
    client.force_login(operator)
    for path in addresses(camera):
        assert client.get(path).status_code == 200
    other = webhook()
    for path in (*addresses(other), "/connections/99999/live/", "/connections/99999/live/frame"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("data", [b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" + b"\0" * 1024**2], ids=str)
def test_what_is_no_small_jpeg_is_not_shown(signed_in: Client, camera: Connection, data: bytes):
    show(camera, data=data)
    assert signed_in.get(addresses(camera)[2]).status_code == 404
    assert "No frame yet" in text(signed_in, addresses(camera)[1])


def test_on_the_page_of_the_line_where_the_station_has_a_camera(signed_in: Client, camera: Connection):
    before = len(signed_in.get("/").content)
    assert "live.js" not in text(signed_in, "/")
    show(camera, age=60)
    assert len(signed_in.get("/").content) == before
    show(camera)
    said = text(signed_in, "/")
    assert "js/live.js" in said
    assert "east camera" in said
    signed_in.cookies["station"] = "west"
    assert "live.js" not in text(signed_in, "/")
    signed_in.cookies["station"] = "east"
    assert "live.js" in text(signed_in, "/")
    second = create_connection(name="two", kind="camera", station="north", settings={"source": "usb"}, actor=None)
    show(second)
    assert "two" not in text(signed_in, "/")
    signed_in.cookies["station"] = ""
    assert "live.js" not in text(signed_in, "/"), "two cameras, and nobody said which one is ours"


def test_a_record_says_how_its_picture_was_taken(signed_in: Client, camera: Connection):
    request = taken(camera, 6)
    said = text(signed_in, f"/inspections/{request.inspection.pk}/")
    assert "Viky 1, frame 7" in said
    assert "exposure 1500 µs" in said
    assert "gain 6.50 dB" in said
    plain = inspected(7, station="east")
    assert "Viky" not in text(signed_in, f"/inspections/{plain.pk}/")


def test_words_of_a_camera_are_on_its_page(signed_in: Client, camera: Connection):
    from edge.models import ConnectionStatus

    now = timezone.now()
    figures = {"frames_seen": 12, "frames_lost": 3, "frames_per_second": 9.8, "exposure_us": 1500.0, "gain_db": 6.5}
    ConnectionStatus.objects.create(
        connection=camera, state="open", since=now - timedelta(minutes=1), seen_at=now, figures=figures
    )
    said = text(signed_in, f"/connections/{camera.pk}/")
    for words in ("Frames seen", "Frames lost", "Frames a second", "Exposure of the last frame", "Gain of the last"):
        assert words in said
