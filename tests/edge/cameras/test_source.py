"""A camera as a connection: which frames are judged, what is lost, what triggers get, what is recorded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from edge.cameras import running, source
from edge.cameras.images.frames import CameraLost, Frame, ImageSource
from edge.cameras.images.video import VideoImages
from edge.cameras.kind import CAMERA
from edge.cameras.live import read_live
from edge.cameras.services import FrameFacts, record_frame
from edge.cameras.source import CameraSource, make_images
from edge.connections.kinds import Figures, SettingInvalid, Target
from edge.connections.services import create_connection
from edge.models import Connection, FrameDetails
from edge.triggers.pictures import CameraPictures, FolderPictures, NoPicture, make_pictures
from edge.triggers.settings import check_pictures
from inspection.models import Inspection, InspectionRequest
from records.models import AuditEvent
from tests import parts
from tests.chain import attest_people
from tests.stack.conftest import wait_for

FACTS = FrameFacts(0, "east camera", "Viky 1", 7, datetime(2026, 5, 4, 9, 12, tzinfo=UTC), 1500.0, 6.5, 2)


class Shots(ImageSource):
    """A camera of the tests: `shoot` takes a picture, `lose` pulls its cable."""

    def __init__(self) -> None:
        self.camera = "Shots 1"
        self.frames: list[Frame] = []
        self.number = 0
        self.is_away = self.is_closed = False
        self.changed = threading.Condition()

    def shoot(self, *, defective: bool = False, lost: int = 0, data: bytes | None = None, age: float = 0.0) -> None:
        with self.changed:
            self.number += 1 + lost
            self.frames.append(
                Frame(
                    key=f"run-{self.number}",
                    name=f"{self.number}.png",
                    number=self.number,
                    taken_at=datetime.now(UTC) - timedelta(seconds=age),
                    at=time.monotonic() - age,
                    lost=lost,
                    exposure_us=1500.0,
                    gain_db=6.5,
                    file=data or parts.png(self.number, defective=defective),
                )
            )
            self.changed.notify_all()

    def lose(self) -> None:
        with self.changed:
            self.is_away = True
            self.changed.notify_all()

    def open(self) -> None:
        if self.is_away:
            raise CameraLost("It is away.")

    def read(self, timeout: float) -> Frame | None:
        with self.changed:
            if not self.frames and not self.is_away:
                self.changed.wait(timeout)
            if self.frames:
                return self.frames.pop(0)
            if self.is_away:
                raise CameraLost("Its cable is out.")
            return None

    def close(self) -> None:
        self.is_closed = True


def settings_of(**more: Any) -> dict[str, Any]:
    return CAMERA.clean({"source": "usb", **more})


def target(connection_id: int = 1, **more: Any) -> Target:
    return Target(connection_id, "east camera", "camera", "east", "disc", settings_of(**more), {}, None, 1)


class Run:
    """A source in a thread of its own, as the process has it."""

    def __init__(self, shots: Shots, wanted: Target) -> None:
        self.shots, self.figures, self.stop = shots, Figures(), threading.Event()
        self.error: BaseException | None = None
        self.source = CameraSource(wanted, self.figures, make=lambda _: shots)
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            self.source.run(self.stop)
        except CameraLost as error:
            self.error = error
        finally:
            self.source.close()

    def count(self, name: str) -> Any:
        return self.figures.as_dict().get(name, 0)


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    settings.VAR_DIR = tmp_path
    runs: list[Run] = []

    def start(**more: Any) -> Run:
        runs.append(Run(Shots(), target(**more)))
        runs[-1].thread.start()
        return runs[-1]

    yield start
    for one in runs:
        one.stop.set()
        one.thread.join()


def until(done: Callable[[], Any]) -> None:
    wait_for(done, 60)


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], dict[str, Any]] | None = None) -> Iterator[Any]:
    """What would be submitted, one after another as `go` lets it; accepted where nothing else is said."""
    asked: list[Any] = []
    go = threading.Semaphore(0)

    def submit(trigger: Any, *, target: Target, figures: Figures) -> dict[str, Any]:
        asked.append(trigger)
        assert go.acquire(timeout=60)
        return answer(trigger) if answer else {"accepted": True, "repeated": False, "code": None, "detail": None}

    monkeypatch.setattr(source, "submit_trigger", submit)
    try:
        yield asked, go
    finally:
        for _ in range(1000):
            go.release()


# ---------------------------------------------------------------- which frames are judged
def test_every_frame_in_order_and_what_does_not_fit_is_lost(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    with answering(monkeypatch) as (asked, go):
        one = run(mode="every", queue_length=3)
        one.shots.shoot()
        until(lambda: len(asked) == 1)
        for _ in range(5):
            one.shots.shoot()
        until(lambda: one.count("frames_seen") == 6)
        assert one.count("frames_lost") == 2
        for _ in range(4):
            go.release()
        until(lambda: one.count("frames_judged") == 4)
        assert [trigger.filename for trigger in asked] == ["1.png", "2.png", "3.png", "4.png"]
        assert asked[0].part.station == "east"
        one.shots.shoot(lost=3)
        until(lambda: one.count("frames_lost") == 5)
        assert (one.count("exposure_us"), one.count("gain_db")) == (1500.0, 6.5)


def test_the_newest_frame_as_soon_as_the_one_before_is_judged(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    with answering(monkeypatch) as (asked, go):
        one = run(mode="newest")
        one.shots.shoot()
        until(lambda: len(asked) == 1)
        for _ in range(4):
            one.shots.shoot()
        until(lambda: one.count("frames_seen") == 5)
        go.release()
        until(lambda: len(asked) == 2)
        go.release()
        until(lambda: one.count("frames_judged") == 2)
        assert [trigger.filename for trigger in asked] == ["1.png", "5.png"]
        assert one.count("frames_lost") == 0, "what is passed over on purpose is not lost"


def test_the_newest_frame_at_an_interval(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    with answering(monkeypatch) as (asked, go):
        for _ in range(100):
            go.release()
        one = run(mode="interval", interval_ms=3_600_000)
        one.shots.shoot()
        until(lambda: len(asked) == 1)
        one.shots.shoot()
        until(lambda: one.count("frames_seen") == 2)
        time.sleep(0.3)
        assert len(asked) == 1


def test_a_frame_is_tried_again_when_nothing_is_known_of_it(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "_REFUSED_PAUSE", 0.01)
    answers = iter(["database_unavailable", "outcome_unknown", "", "no_worker"])

    def answer(trigger: Any) -> dict[str, Any]:
        code = next(answers)
        return {"accepted": not code, "repeated": False, "code": code, "detail": f"It is {code}."}

    with answering(monkeypatch, answer) as (asked, go):
        for _ in range(4):
            go.release()
        one = run(mode="every")
        one.shots.shoot()
        one.shots.shoot()
        until(lambda: one.count("frames_refused") == 1)
        assert [trigger.trigger_id for trigger in asked] == ["run-1"] * 3 + ["run-2"]
        assert one.count("frames_judged") == 1
        assert one.count("frame_refusal") == "It is no_worker."


def test_a_camera_that_is_lost_is_told_after_what_came_before(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    with answering(monkeypatch) as (asked, go):
        one = run(mode="every")
        for _ in range(3):
            one.shots.shoot()
        until(lambda: one.count("frames_seen") == 3)
        one.shots.lose()
        for _ in range(3):
            go.release()
        one.thread.join(60)
        assert isinstance(one.error, CameraLost)
        assert len(asked) == 3
        assert one.shots.is_closed
        assert one.count("camera_losses") == 1
        assert running.running_camera("east camera") is None


def test_a_driver_that_hangs_gives_no_sign(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(source, "_END_SECONDS", 0.1)
    one = Run(Shots(), target())
    signs: list[float] = []
    one.source.note_sign = lambda: signs.append(time.monotonic())
    release = threading.Event()
    monkeypatch.setattr(one.shots, "read", lambda timeout: release.wait(30) and None)
    one.thread.start()
    until(lambda: signs and time.monotonic() - signs[-1] > 0.5)
    one.stop.set()
    one.thread.join()
    release.set()


# ---------------------------------------------------------------- the live view
def test_the_newest_frame_is_shown_small(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "_LIVE_SECONDS", 0.02)
    one = run()
    one.shots.shoot()
    until(lambda: read_live(1))
    first = read_live(1)
    assert first is not None
    assert first.is_live
    one.shots.shoot(data=b"no image")
    one.shots.shoot()
    until(lambda: (shown := read_live(1)) is not None and shown.version != first.version)


# ---------------------------------------------------------------- triggers
def test_a_trigger_gets_the_frame_that_was_taken_after_it(run: Callable[..., Run]):
    one = run()
    one.shots.shoot()
    until(lambda: one.count("frames_seen") == 1)
    pictures = CameraPictures("east camera", max_age=0)
    since = time.monotonic()
    with pytest.raises(NoPicture, match="no new frame"):
        pictures.newest(since=since, wait=0.05)
    one.shots.shoot(age=60)  # one that was held up on its way
    threading.Timer(0.2, one.shots.shoot).start()
    picture = pictures.newest(since=since, wait=30)
    assert picture.name == "3.png"
    assert picture.frame is not None
    assert (picture.frame.camera, picture.frame.number, picture.frame.exposure_us) == ("Shots 1", 3, 1500.0)
    with pytest.raises(NoPicture):
        pictures.newest(since=since, wait=0)
    assert CameraPictures("east camera", max_age=60).newest(since=since, wait=0).name == "3.png"


def test_without_its_camera_a_trigger_has_no_picture(run: Callable[..., Run]):
    with pytest.raises(NoPicture, match="does not run"):
        CameraPictures("east camera", max_age=0).newest(since=time.monotonic(), wait=0.05)
    started: list[Run] = []
    threading.Timer(0.2, lambda: started.append(run())).start()
    threading.Timer(0.5, lambda: started[0].shots.shoot()).start()
    assert CameraPictures("east camera", max_age=0).newest(since=time.monotonic(), wait=30).name == "1.png"


def test_where_pictures_come_from_is_a_setting(settings: Any, tmp_path: Path):
    values = {"picture_folder": str(tmp_path), "picture_age_ms": 0, "picture_settle_ms": 0}
    assert isinstance(make_pictures(values), FolderPictures), "the settings of an older version"
    camera = values | {"picture_source": "camera", "picture_camera": "east camera"}
    assert isinstance(make_pictures(camera), CameraPictures)
    check_pictures(camera | {"recipes": "", "picture_folder": ""})
    with pytest.raises(SettingInvalid, match="name of a camera"):
        check_pictures(camera | {"recipes": "", "picture_camera": ""})


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"source": "folder", "folder": "/etc"}, "folder"),
        ({"source": "folder", "folder": "relative"}, "folder"),
        ({"source": "rtsp", "address": "http://camera.example/"}, "address"),
        ({"source": "rtsp", "address": "rtsp://"}, "address"),
        ({"source": "rtsp", "address": "rtsp://camera.example:99999/"}, "address"),
        ({"source": "rtsp", "address": "rtsp://otto:secret@camera.example/"}, "address"),
        ({"source": "rtsp", "address": "rtsp://camera.example/", "gain": 3}, "exposure_us"),
        ({"source": "genicam", "producer": "../../evil.cti"}, "producer"),
        ({"source": "usb", "exposure_us": 0}, "exposure_us"),
        ({"source": "moon"}, "source"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], field: str):
    if values["source"] == "genicam":
        pytest.importorskip("harvesters")
    with pytest.raises(SettingInvalid) as refused:
        CAMERA.clean(values)
    assert refused.value.extra["field"] == field


def test_exposure_may_be_left_as_the_camera_has_it():
    assert settings_of()["exposure_us"] is None
    assert settings_of(exposure_us="250.5", gain="")["exposure_us"] == 250.5


def test_a_stream_goes_to_the_address_that_was_checked(settings: Any):
    wanted = target(source="rtsp", address="rtsp://localhost/live?password=x", username="otto")
    settings.EDGE_PRIVATE_HOSTS = []
    with pytest.raises(CameraLost, match="EDGE_PRIVATE_HOSTS"):
        make_images(wanted)
    settings.EDGE_PRIVATE_HOSTS = ["localhost"]
    images = make_images(replace(wanted, secrets={"password": ("se/cret",)}))
    assert isinstance(images, VideoImages)
    assert images.camera == "rtsp://localhost/live", "no password in records"


# ---------------------------------------------------------------- what is recorded
@pytest.fixture
def camera(deployment: Any, worker: None) -> Connection:
    made: Connection = create_connection(
        name="east camera", kind="camera", station="east", settings={"source": "usb"}, actor=None
    )
    return made


@pytest.mark.django_db
def test_how_a_picture_was_taken_is_recorded_with_its_request(camera: Connection):
    from edge.triggers.services import Trigger, submit_trigger
    from inspection.judging.services import PartContext

    trigger = Trigger(
        trigger_id="1",
        part=PartContext(station="east"),
        received=time.monotonic(),
        filename="1.png",
        data=parts.png(1),
        frame=replace(FACTS, connection_id=camera.pk),
    )
    for repeated in (False, True):
        reply = submit_trigger(trigger, target=replace(target(camera.pk), category=""), figures=Figures())
        assert (reply["accepted"], reply["repeated"]) == (True, repeated)
    [details] = FrameDetails.objects.all()
    assert details.request == Inspection.objects.get().request
    assert (details.camera, details.number, details.exposure_us, details.gain_db) == ("Viky 1", 7, 1500.0, 6.5)
    [event] = AuditEvent.objects.filter(kind="frame.taken")
    said = json.loads(event.after)
    assert (said["exposure_us"], said["request"]) == (1500.0, str(details.request_id))


@pytest.mark.django_db
def test_a_changed_exposure_is_found(camera: Connection):
    from records.audit.verification import verify_all
    from tests.edge.line import inspected

    attest_people()
    request = inspected(1, station="east").request
    with transaction.atomic():
        details = record_frame(request=request, facts=replace(FACTS, connection_id=camera.pk), actor=None)
    assert verify_all().sentence == ""
    FrameDetails.objects.filter(pk=details.pk).update(exposure_us=9.0)
    assert "framedetails" in verify_all().sentence


@pytest.mark.django_db
def test_a_frame_has_a_camera_and_a_number(camera: Connection):
    from tests.edge.line import inspected

    request = inspected(1).request
    for wrong in ({"camera": ""}, {"number": 0}, {"exposure_us": -1.0}):
        values: dict[str, Any] = {
            "request": request,
            "connection": camera,
            "camera": "a",
            "number": 1,
            "taken_at": timezone.now(),
        }
        with pytest.raises(IntegrityError), transaction.atomic():
            FrameDetails.objects.create(**values | wrong)


@pytest.mark.django_db(transaction=True)
def test_frames_of_a_camera_are_records(camera: Connection, run: Callable[..., Run], no_broker: None):
    one = run(connection_id=camera.pk, mode="every")
    one.shots.shoot()
    one.shots.shoot(defective=True, lost=2)
    until(lambda: one.count("frames_judged") == 2)
    records = {record.request.filename: record for record in Inspection.objects.select_related("request")}
    assert {name: record.outcome for name, record in records.items()} == {"1.png": "good", "4.png": "defective"}
    assert {record.station for record in records.values()} == {"east"}
    assert {record.source for record in records.values()} == {"edge"}
    details = FrameDetails.objects.get(request=records["4.png"].request)
    assert (details.number, details.lost_before, details.camera) == (4, 2, "Shots 1")
    one.shots.shoot(data=b"no image at all")
    until(lambda: one.count("frames_refused") == 1)
    assert InspectionRequest.objects.count() == 2
    assert AuditEvent.objects.filter(kind="image.refused").count() == 1


def test_frames_hold_pixels_or_a_file():
    pixels = numpy.zeros((4, 4, 3), numpy.uint8)
    assert Frame("1", "1.png", 1, datetime.now(UTC), 0.0, pixels=pixels).data().startswith(b"\x89PNG")
