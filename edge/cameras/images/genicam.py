"""GenICam cameras (GigE Vision, USB3 Vision, ...) through the GenTL producer of their maker, by harvesters."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from edge.cameras.images.frames import CameraLost, Frame, ImageSource

if TYPE_CHECKING:
    from edge.cameras.images.frames import Pixels

_EXPOSURE, _GAIN = ("ExposureTime", "ExposureTimeAbs"), ("Gain", "GainAbs")  # SFNC's names, and those before it
_GREY = {"Mono8": 8, "Mono10": 10, "Mono12": 12, "Mono14": 14, "Mono16": 16}
# What OpenCV calls the pattern of GenICam's name: they count from another corner.
_BAYER = {"BayerRG": "BayerBG", "BayerBG": "BayerRG", "BayerGR": "BayerGB", "BayerGB": "BayerGR"}
_COLOUR = {"RGB8": "COLOR_RGB2BGR", "RGBa8": "COLOR_RGBA2BGR", "BGR8": "", "BGRa8": "COLOR_BGRA2BGR"}
_MAX_ID = 2**63 - 1


@dataclass(frozen=True)
class CameraSettings:
    """`camera`: serial number, id or display name; empty: the first one. None, or nothing: as the camera has it."""

    producer: str
    camera: str = ""
    pixel_format: str = ""
    exposure_us: float | None = None
    gain_db: float | None = None


class GenICamImages(ImageSource):
    """Frames as the camera sends them, with its own number of each: what is left out was lost."""

    def __init__(self, wanted: CameraSettings, *, latency: float = 0.0) -> None:
        self._wanted, self._latency = wanted, latency
        self._acquirer: Any = None
        self._nodes: Any = None
        self._run, self._last_id = uuid.uuid4().hex[:12], 0
        self._number = 0

    def open(self) -> None:
        path = find_producer(self._wanted.producer)
        self._acquirer, self.camera = _PRODUCERS.connect(path, self._wanted.camera)
        self._nodes = self._acquirer.remote_device.node_map
        with _as_lost("The camera does not take its settings"):
            self._set_up()
            self._acquirer.start()

    def _set_up(self) -> None:
        wanted = self._wanted
        if wanted.pixel_format:
            self._set("PixelFormat", wanted.pixel_format)
        for names, automatic, value in (
            (_EXPOSURE, "ExposureAuto", wanted.exposure_us),
            (_GAIN, "GainAuto", wanted.gain_db),
        ):
            if value is None:
                continue
            if self._nodes.has_node(automatic):
                self._set(automatic, "Off")
            self._set(next((name for name in names if self._nodes.has_node(name)), names[0]), value)

    def _set(self, name: str, value: str | float) -> None:
        if not self._nodes.has_node(name):
            raise CameraLost(f"The camera {self.camera} has no {name}. Leave this setting empty.")
        getattr(self._nodes, name).value = value

    def read(self, timeout: float) -> Frame | None:
        with _as_lost(f"The camera {self.camera} is lost"):
            buffer = self._acquirer.try_fetch(timeout=timeout)
            if buffer is None:
                if not self._acquirer.is_acquiring():
                    raise CameraLost(f"The camera {self.camera} sends no more frames.")
                return None
            with buffer:
                return self._frame(buffer)

    def _frame(self, buffer: Any) -> Frame:
        image = buffer.payload.components[0]
        pixels, bits = pixels_of(image.data, image.data_format, height=image.height, width=image.width)
        self._number += 1
        frame_id = int(buffer.module.frame_id) if 0 < buffer.module.frame_id <= _MAX_ID else 0
        # A number that goes back is a new beginning, or a counter of 16 bits that is over.
        lost = max(frame_id - self._last_id - 1, 0) if frame_id and self._last_id else 0
        self._last_id = frame_id
        return Frame(
            key=f"{self._run}-{self._number}",
            name=f"frame-{frame_id or self._number:06d}.png",
            number=frame_id or self._number,
            taken_at=datetime.now(UTC) - timedelta(seconds=self._latency),
            at=time.monotonic() - self._latency,
            lost=lost,
            exposure_us=self._figure(_EXPOSURE),
            gain_db=self._figure(_GAIN),
            pixels=pixels,
            bits=bits,
        )

    def _figure(self, names: tuple[str, ...]) -> float | None:
        """What the camera says at this moment; chunks would say it of the frame itself, where they are set up."""
        for name in (*(f"Chunk{name}" for name in names), *names):
            if self._nodes.has_node(name):
                with contextlib.suppress(Exception):  # a chunk that does not come, a node that cannot be read now
                    return float(getattr(self._nodes, name).value)
        return None

    def close(self) -> None:
        if self._acquirer is not None:
            _PRODUCERS.disconnect(self._acquirer)
            self._acquirer = None


@contextlib.contextmanager
def _as_lost(sentence: str) -> Iterator[None]:
    """Whatever a producer raises: each has exceptions of its own."""
    try:
        yield
    except CameraLost:
        raise
    except Exception as error:
        raise CameraLost(f"{sentence} ({type(error).__name__}: {str(error)[:200]}).") from error


def pixels_of(data: Any, pixel_format: str, *, height: int, width: int) -> tuple[Pixels, int]:
    """A copy of a buffer as an array, and how many bits its values have. Raises `CameraLost` for other formats."""
    import cv2

    if pixel_format in _GREY:
        return data.reshape(height, width).copy(), _GREY[pixel_format]
    if pixel_format in _COLOUR:
        pixels = data.reshape(height, width, -1)
        code = _COLOUR[pixel_format]
        return (cv2.cvtColor(pixels, getattr(cv2, code)) if code else pixels.copy()), 8
    pattern, bits = pixel_format[:7], pixel_format[7:]
    if pattern in _BAYER and bits in ("8", "10", "12", "16"):
        code = f"COLOR_{_BAYER[pattern]}2BGR"
        return cv2.cvtColor(data.reshape(height, width), getattr(cv2, code)), int(bits)
    raise CameraLost(
        f"The camera sends {pixel_format}, which cannot be read here. Set the pixel format to Mono8, Mono12, BayerRG8 "
        "or RGB8."
    )


def find_producer(name: str) -> Path:
    """The file of a producer in one of the folders that the installation names. Raises `CameraLost`.

    It is a library that is loaded into this process: people choose among those that are installed, by name.
    """
    folders = [Path(folder) for folder in settings.EDGE_GENTL_FOLDERS]
    found = sorted(path for folder in folders for path in folder.glob("*.cti") if not name or path.name == name)
    if not folders:
        raise CameraLost("GENICAM_GENTL64_PATH names no folder: install the GenTL producer of the camera's maker.")
    if not found:
        raise CameraLost(f"There is no GenTL producer {name or '(*.cti)'} in the folders of GENICAM_GENTL64_PATH.")
    if len(found) > 1:
        raise CameraLost(f"There are several GenTL producers: {', '.join(path.name for path in found)}. Choose one.")
    return found[0]


class _Producers:
    """A producer can be loaded once in a process. Looking for cameras anew would end those that run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[Path, Any] = {}
        self._running: dict[int, Path] = {}  # by id of the acquirer

    def connect(self, path: Path, camera: str) -> tuple[Any, str]:
        """An acquirer, and what its camera is called."""
        with self._lock, _as_lost(f"The GenTL producer {path.name} cannot be used"):
            harvester = self._loaded.get(path) or self._load(path)
            if path not in self._running.values():
                harvester.update()
            cameras = harvester.device_info_list
            index = next((place for place, info in enumerate(cameras) if _is_it(info, camera)), None)
            if index is None:
                there = ", ".join(_name(info) for info in cameras) or "none"
                raise CameraLost(
                    f"There is no camera {camera or 'at all'} at {path.name}. There are: {there}. Look at its cable "
                    "and its address."
                )
            acquirer = harvester.create(index)
            self._running[id(acquirer)] = path
            return acquirer, _name(cameras[index])

    def _load(self, path: Path) -> Any:
        from harvesters.core import Harvester

        harvester = Harvester()
        harvester.add_file(str(path))
        self._loaded[path] = harvester
        return harvester

    def disconnect(self, acquirer: Any) -> None:
        with self._lock:
            self._running.pop(id(acquirer), None)
            with contextlib.suppress(Exception):  # a camera whose cable is out cannot be stopped
                acquirer.stop()
            with contextlib.suppress(Exception):
                acquirer.destroy()


_PRODUCERS = _Producers()


def _is_it(info: Any, camera: str) -> bool:
    return not camera or camera in (_said(info, "serial_number"), _said(info, "id_"), _said(info, "user_defined_name"))


def _name(info: Any) -> str:
    """Model and serial number."""
    return f"{_said(info, 'model')} {_said(info, 'serial_number') or _said(info, 'id_')}".strip()


def _said(info: Any, field: str) -> str:
    """Not every producer says everything; some raise instead."""
    with contextlib.suppress(Exception):
        return str(getattr(info, field) or "")
    return ""
