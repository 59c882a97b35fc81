"""One contract for everything that gives frames, and what each source does of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
from PIL import Image

from edge.cameras.images import genicam, video
from edge.cameras.images.folder import FolderImages
from edge.cameras.images.frames import PREVIEW_PX, CameraLost, Frame, ImageSource
from edge.cameras.images.genicam import CameraSettings, GenICamImages, pixels_of
from edge.cameras.images.video import Delay, VideoImages, stream_capture, stream_url, usb_capture
from tests.edge.cameras.rtsp import Stream, served
from tests.environment import ROOT

SIZE = (400, 300)  # of the pictures here; Viky, the camera that comes with GenICam, has 400 x 400
Made = Callable[[], ImageSource]


def picture(shade: int = 90) -> Image.Image:
    return Image.new("RGB", SIZE, (shade, 40, 200))


def read(images: ImageSource, number: int, *, seconds: float = 20.0) -> list[Frame]:
    """So many frames, or those that came in the time."""
    end = time.monotonic() + seconds
    frames: list[Frame] = []
    while len(frames) < number and time.monotonic() < end:
        if frame := images.read(0.5):
            frames.append(frame)
    return frames


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)
    path = tmp_path / "camera"
    path.mkdir()
    return path


def write(folder: Path, name: str, *, shade: int = 90, age: float = 0.0) -> Path:
    """Whole at once, as cameras' software should do it."""
    part = folder / f".{name}"
    picture(shade).save(part, "PNG")
    moment = time.time() - age
    os.utime(part, (moment, moment))
    return part.rename(folder / name)


@pytest.fixture
def gentl(settings: Any) -> str:
    """The producer that comes with GenICam's Python package: three simulated cameras."""
    pytest.importorskip("harvesters", reason="harvesters is not installed (requirements-edge.txt)")
    found = pytest.importorskip("genicam")
    settings.EDGE_GENTL_FOLDERS = (Path(found.__file__).parent,)
    return "viky.cti"


@pytest.fixture(params=["folder", "video", "rtsp", "genicam"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """Each kind of source with something that gives frames as long as it is open."""
    with ExitStack() as stack:
        if request.param == "folder":
            folder = request.getfixturevalue("folder")
            stop = threading.Event()

            def shoot() -> None:
                number = 0
                while not stop.wait(0.05):
                    number += 1
                    write(folder, f"{number:04d}.png")

            thread = threading.Thread(target=shoot)
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)
            yield lambda: FolderImages(folder, settle=0)
        elif request.param == "video":
            path = tmp_path / "film.avi"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
            for _ in range(30):
                writer.write(numpy.asarray(picture())[:, :, ::-1])
            writer.release()
            yield lambda: VideoImages("film", lambda cv2: cv2.VideoCapture(str(path)))
        elif request.param == "rtsp":
            stream = stack.enter_context(served(Stream(picture(), fps=20)))
            yield lambda: rtsp(stream)
        else:
            producer = request.getfixturevalue("gentl")
            yield lambda: GenICamImages(CameraSettings(producer))


def decoded(data: bytes | None) -> Any:
    """Pixels of an image file."""
    return cv2.imdecode(numpy.frombuffer(data or b"", numpy.uint8), cv2.IMREAD_UNCHANGED)


def rtsp(stream: Stream, password: str = "") -> VideoImages:
    address = f"rtsp://camera.example:{stream.port}/live"
    url = stream_url(address, host="127.0.0.1", username="otto" if password else "", password=password)
    return VideoImages(address, stream_capture(url), is_stream=True)


# ---------------------------------------------------------------- the contract
def test_frames_come_in_order_and_are_whole(made: Made):
    images = made()
    begun, begun_at = time.monotonic(), datetime.now(UTC)
    images.open()
    try:
        frames = read(images, 4)
    finally:
        images.close()
    assert len(frames) == 4
    assert images.camera
    assert [frame.number for frame in frames] == sorted({frame.number for frame in frames})
    assert len({frame.key for frame in frames}) == 4
    for frame in frames:
        assert frame.number >= 1
        assert frame.lost >= 0
        assert (frame.at - begun) > -2
        assert abs((frame.taken_at - begun_at).total_seconds() - (frame.at - begun)) < 1
        pixels = decoded(frame.data())
        assert pixels is not None
        assert pixels.shape[1] == SIZE[0]
        if frame.pixels is not None:
            assert numpy.array_equal(pixels, frame.pixels), "PNG loses nothing"


def test_it_is_opened_again_after_it_was_closed(made: Made):
    keys = set()
    for _ in range(2):
        images = made()
        images.open()
        frames = read(images, 2)
        images.close()
        images.close()
        assert len(frames) == 2
        keys |= {frame.key for frame in frames}
    assert len(keys) == 4, "a frame is never taken for another one"


def test_a_preview_is_small(made: Made):
    images = made()
    images.open()
    [frame] = read(images, 1)
    images.close()
    shown = decoded(frame.preview())
    assert max(shown.shape[:2]) <= PREVIEW_PX
    assert frame.preview()[:3] == b"\xff\xd8\xff"  # type: ignore[index]


# ---------------------------------------------------------------- frames
def test_a_preview_of_what_is_no_image_is_none():
    now = datetime.now(UTC)
    for data in (b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        assert Frame("1", "1.png", 1, now, 0.0, file=data).preview() is None
    large = Frame("1", "1.png", 1, now, 0.0, pixels=numpy.zeros((1500, 3000), numpy.uint8)).preview()
    assert decoded(large).shape[:2] == (320, 640)


def test_twelve_bits_are_kept_and_shown_with_eight():
    pixels = numpy.full((10, 10), 4095, numpy.uint16)
    frame = Frame("1", "1.png", 1, datetime.now(UTC), 0.0, pixels=pixels, bits=12)
    kept = decoded(frame.data())
    assert kept.dtype == numpy.uint16
    assert kept.max() == 4095
    assert decoded(frame.preview()).max() > 250


# ---------------------------------------------------------------- a folder
def test_a_folder_gives_what_is_new_since_it_was_opened(folder: Path):
    write(folder, "before.png")
    images = FolderImages(folder, settle=0)
    images.open()
    assert images.read(0) is None
    write(folder, "2.png", age=1)
    write(folder, "1.png", age=2)
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty.png").touch()
    assert [frame.name for frame in read(images, 3, seconds=0.5)] == ["1.png", "2.png"]
    write(folder, "before.png")
    [frame] = read(images, 1)
    assert (frame.name, frame.number) == ("before.png", 3)
    assert frame.data() == (folder / "before.png").read_bytes(), "the original file"


def test_a_folder_goes_on_where_it_stood(folder: Path):
    write(folder, "old.png", age=60)
    first = write(folder, "judged.png", age=10)
    write(folder, "missed.png", age=5)
    since = datetime.fromtimestamp(first.stat().st_mtime_ns / 1e9, UTC)
    images = FolderImages(folder, settle=0, since=since)
    images.open()
    frames = read(images, 3, seconds=0.5)
    assert [frame.name for frame in frames] == ["judged.png", "missed.png"]
    again = FolderImages(folder, settle=0, since=since)
    again.open()
    assert [frame.key for frame in read(again, 3, seconds=0.5)] == [frame.key for frame in frames]


def test_a_file_that_is_gone_before_it_was_read_is_lost(folder: Path):
    images = FolderImages(folder, settle=0)
    images.open()
    for age in (3, 2, 1):
        write(folder, f"{age}.png", age=age)
    assert [frame.name for frame in read(images, 1)] == ["3.png"]
    (folder / "2.png").unlink()
    [frame] = read(images, 1)
    assert (frame.name, frame.lost, frame.number) == ("1.png", 1, 3)


def test_a_file_that_is_still_written_waits(folder: Path):
    images = FolderImages(folder, settle=30)
    images.open()
    write(folder, "1.png")
    assert images.read(0.2) is None


def test_a_folder_that_is_missing_or_outside_is_told(folder: Path, settings: Any, tmp_path: Path):
    with pytest.raises(CameraLost, match="cannot be read"):
        FolderImages(tmp_path / "none", settle=0).open()
    settings.EDGE_TRIGGER_ROOTS = (tmp_path / "elsewhere",)
    images = FolderImages(folder, settle=0)
    images.open()
    write(folder, "1.png")
    with pytest.raises(CameraLost, match="EDGE_TRIGGER_ROOTS"):
        images.read(0.2)
    settings.EDGE_TRIGGER_ROOTS = ()
    with pytest.raises(CameraLost, match="is empty"):
        FolderImages(folder, settle=0).open()


# ---------------------------------------------------------------- streams and USB
def test_a_stream_that_ends_is_lost_and_comes_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(video, "READ_MS", 500)
    stream = Stream(picture(), fps=20)
    with served(stream):
        images = rtsp(stream)
        images.open()
        assert read(images, 2)
    with pytest.raises(CameraLost, match="no more frames"):
        read(images, 1000)
    images.close()
    with pytest.raises(CameraLost, match="does not answer"):
        rtsp(stream).open()
    with served(stream):
        images = rtsp(stream)
        images.open()
        assert read(images, 2)
        images.close()


def test_a_stream_that_stands_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(video, "READ_MS", 500)
    with served(Stream(picture(), fps=20)) as stream:
        images = rtsp(stream)
        images.open()
        assert read(images, 1)
        stream.is_held = True
        with pytest.raises(CameraLost):
            read(images, 1000)
        images.close()


def test_the_first_frame_is_not_an_old_one():
    with served(Stream(picture(10), fps=20)) as stream:
        timer = threading.Timer(0.3, lambda: setattr(stream, "picture", picture(250)))
        timer.start()
        images = rtsp(stream)
        images.open()
        timer.join()
        pixels = read(images, 1)[0].pixels
        images.close()
    assert pixels is not None
    assert pixels[100, 100, 2] > 200


def test_a_password_reaches_the_camera_and_no_log():
    secret = "ge heim@:/%"
    with served(Stream(picture(), fps=20, password=secret)) as stream:
        images = rtsp(stream, secret)
        images.open()
        assert read(images, 1)
        images.close()
        assert stream.users >= {"otto"}
        script = (
            "import django, sys; django.setup(); from tests.edge.cameras.test_images import rtsp, Stream;"
            f"stream = Stream(None); stream.port = {stream.port}\n"
            "for password in sys.argv[1:]:\n"
            "    images = rtsp(stream, password)\n"
            "    try: images.open(); images.read(1)\n"
            "    except Exception as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, "wrong-secret"],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "mvtec_site.settings", "OPENCV_LOG_LEVEL": "DEBUG"},
            capture_output=True,
            text=True,
        )
    assert "does not answer" in done.stdout
    assert "wrong-secret" not in done.stdout + done.stderr


def test_the_address_of_a_stream():
    url = stream_url("rtsp://cam.example/a?b=1", host="fd00::1", username="a b", password="p@:/")
    assert url == "rtsp://a%20b:p%40%3A%2F@[fd00::1]:554/a?b=1"
    assert stream_url("rtsp://cam.example:8554", host="10.0.0.1", username="", password="x") == "rtsp://10.0.0.1:8554/"


def test_what_comes_in_a_burst_is_old():
    delay = Delay()
    assert [delay.of(moment, 100 + moment) for moment in (0.0, 0.1, 0.2)] == pytest.approx([0, 0, 0], abs=0.001)
    late = [delay.of(moment, 101.5) for moment in (0.3, 0.4, 1.5)]  # the network stood
    assert late == pytest.approx([1.2, 1.1, 0.0], abs=0.01)
    assert delay.of(0.0, 102.0 + 3600) == 0.0, "a camera that was restarted counts anew"
    slow = Delay()
    delays = [slow.of(second * 0.9999, float(second)) for second in range(100_000)]
    assert max(delays) < 0.01, "a clock that runs slow makes no frame old"


def test_a_usb_camera_that_is_not_there():
    images = VideoImages("/dev/video63", usb_capture(63, exposure_us=5000.0, gain=None))
    with pytest.raises(CameraLost, match="/dev/video63 does not answer"):
        images.open()
    images.close()


class UsbCapture:
    """OpenCV's capture of a camera by Video4Linux, as far as it is asked."""

    def __init__(self, takes: bool = True) -> None:
        self.values: dict[int, float] = {}
        self.takes = takes

    def isOpened(self) -> bool:
        return True

    def set(self, name: int, value: float) -> bool:
        self.values[name] = value
        return self.takes

    def get(self, name: int) -> float:
        return self.values.get(name, 0.0)

    def getBackendName(self) -> str:
        return "V4L2"

    def read(self) -> tuple[bool, Any]:
        return True, numpy.zeros((20, 30, 3), numpy.uint8)

    def release(self) -> None:
        self.takes = False


def test_exposure_of_a_usb_camera(monkeypatch: pytest.MonkeyPatch):
    capture = UsbCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    images = VideoImages("usb", usb_capture(0, exposure_us=5000.0, gain=12.0))
    images.open()
    assert (capture.values[cv2.CAP_PROP_AUTO_EXPOSURE], capture.values[cv2.CAP_PROP_EXPOSURE]) == (1, 50.0)
    [frame] = read(images, 1)
    assert (frame.exposure_us, frame.gain_db) == (5000.0, None)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: UsbCapture(takes=False))
    with pytest.raises(CameraLost, match="takes no exposure"):
        VideoImages("usb", usb_capture(0, exposure_us=5000.0, gain=12.0)).open()


# ---------------------------------------------------------------- GenICam
def test_one_of_several_cameras_by_its_serial_number(gentl: str):
    first = GenICamImages(CameraSettings(gentl, camera="1", pixel_format="Mono8"))
    second = GenICamImages(CameraSettings("", camera="2"))
    first.open()
    second.open()
    try:
        assert (first.camera, second.camera) == ("Viky 1", "Viky 2")
        [grey], [colour] = read(first, 1), read(second, 1)
        assert [getattr(frame.pixels, "shape", None) for frame in (grey, colour)] == [(400, 400), (400, 400, 3)]
        assert (grey.exposure_us, grey.gain_db) == (None, None), "these say nothing of it"
        with pytest.raises(CameraLost, match="There are: Viky 0, Viky 1, Viky 2"):
            GenICamImages(CameraSettings(gentl, camera="99")).open()
    finally:
        first.close()
        second.close()


def test_frames_that_were_not_fetched_in_time_are_counted(gentl: str):
    images = GenICamImages(CameraSettings(gentl))
    images.open()
    [first] = read(images, 1)
    images._last_id -= 3  # a cable that lost three
    [second] = read(images, 1)
    images.close()
    assert second.lost == second.number - first.number + 2


def test_what_a_camera_does_not_have_is_told(gentl: str):
    for wanted, name in (
        (CameraSettings(gentl, exposure_us=1000.0), "ExposureTime"),
        (CameraSettings(gentl, gain_db=3.0), "Gain"),
    ):
        images = GenICamImages(wanted)
        with pytest.raises(CameraLost, match=f"has no {name}"):
            images.open()
        images.close()
    images = GenICamImages(CameraSettings(gentl, pixel_format="Mono99"))
    with pytest.raises(CameraLost, match="does not take its settings"):
        images.open()
    images.close()


class Node:
    def __init__(self, value: Any) -> None:
        self.value = value


class NodeMap:
    """A node map with exposure and gain: Viky has none."""

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, Node(value))

    def has_node(self, name: str) -> bool:
        return hasattr(self, name)


def test_exposure_and_gain_are_set_and_read_with_each_frame(gentl: str):
    images = GenICamImages(CameraSettings(gentl, exposure_us=1500.0, gain_db=6.0))
    nodes = NodeMap(ExposureTime=100.0, ExposureAuto="Continuous", Gain=0.0, GainAuto="Continuous")
    images.camera, images._nodes = "simulated", nodes
    images._set_up()
    assert (nodes.ExposureTime.value, nodes.ExposureAuto.value) == (1500.0, "Off")  # type: ignore[attr-defined]
    assert (nodes.Gain.value, nodes.GainAuto.value) == (6.0, "Off")  # type: ignore[attr-defined]
    frames = GenICamImages(CameraSettings(gentl))
    frames.open()
    frames._nodes = nodes
    [frame] = read(frames, 1)
    assert (frame.exposure_us, frame.gain_db) == (1500.0, 6.0)
    nodes.ExposureTime.value = 900.0  # type: ignore[attr-defined]
    assert read(frames, 1)[0].exposure_us == 900.0
    frames._nodes = NodeMap(ExposureTimeAbs=70.0, ChunkGain=1.5, Gain=9.0)
    frame = read(frames, 1)[0]
    assert (frame.exposure_us, frame.gain_db) == (70.0, 1.5)
    frames.close()


def test_producers_are_chosen_by_name_in_the_folders_of_the_installation(settings: Any, tmp_path: Path):
    settings.EDGE_GENTL_FOLDERS = ()
    with pytest.raises(CameraLost, match="GENICAM_GENTL64_PATH names no folder"):
        genicam.find_producer("")
    settings.EDGE_GENTL_FOLDERS = (tmp_path,)
    with pytest.raises(CameraLost, match="no GenTL producer"):
        genicam.find_producer("")
    for name in ("a.cti", "b.cti"):
        (tmp_path / name).touch()
    assert genicam.find_producer("b.cti") == tmp_path / "b.cti"
    with pytest.raises(CameraLost, match=r"a\.cti, b\.cti"):
        genicam.find_producer("")
    with pytest.raises(CameraLost):
        genicam.find_producer("../a.cti")


@pytest.mark.parametrize(
    ("pixel_format", "expected", "bits"),
    [("BayerRG8", (2, 1), 8), ("BayerBG8", (0, 1), 8), ("BayerRG12", (2, 1), 12)],
)
def test_bayer_patterns_have_the_colour_that_their_name_says(pixel_format: str, expected: tuple[int, int], bits: int):
    """The first letter is the colour of the pixel in the upper left corner."""
    mosaic = numpy.zeros((8, 8), numpy.uint8 if bits == 8 else numpy.uint16)
    mosaic[0::2, 0::2] = 200
    pixels, told = pixels_of(mosaic.reshape(-1), pixel_format, height=8, width=8)
    strong, weak = expected
    assert told == bits
    assert pixels[4, 4, strong] == 200
    assert pixels[4, 4, weak] == 0


def test_formats_that_cannot_be_read_are_told():
    with pytest.raises(CameraLost, match="Mono12p"):
        pixels_of(numpy.zeros(96, numpy.uint8), "Mono12p", height=8, width=8)
    pixels, bits = pixels_of(numpy.full(64, 4095, numpy.uint16), "Mono12", height=8, width=8)
    assert (pixels.dtype, pixels.max(), bits) == (numpy.uint16, 4095, 12)
