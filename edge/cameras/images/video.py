"""Streams (RTSP) and cameras at USB, both through OpenCV."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from edge.cameras.images.frames import CameraLost, Frame, ImageSource

OPEN_MS, READ_MS = 5000, 5000
_SKIP_SECONDS = 3.0  # for which frames are skipped at most
_DRIFT = 0.0002  # of a clock that is wrong by 17 seconds a day
_NEW_CLOCK_SECONDS = 10.0  # a camera whose time jumps by more counts anew
# Over TCP, which firewalls know and which loses no parts of pictures; FFmpeg follows no address to another protocol,
# and looks for a second what comes.
_STREAM_OPTIONS = "rtsp_transport;tcp|protocol_whitelist;rtsp,rtp,tcp,udp|fflags;nobuffer|analyzeduration;1000000"
_MANUAL, _V4L2_EXPOSURE_US = 1, 100.0  # of Video4Linux: exposure by hand, in units of 100 microseconds


class Delay:
    """How much later than others a frame of a stream came, by the camera's own time of each (seconds).

    What comes in a burst after the network stood is old, though it is here now. The camera's clock may run a little
    faster or slower than ours.
    """

    def __init__(self) -> None:
        self._quickest: float | None = None  # our time less the camera's, of the frame that was quickest lately
        self._seen = 0.0

    def of(self, camera_time: float, now: float) -> float:
        offset = now - camera_time
        if self._quickest is not None:
            self._quickest += _DRIFT * (now - self._seen)
        self._seen = now
        if self._quickest is None or not self._quickest <= offset < self._quickest + _NEW_CLOCK_SECONDS:
            self._quickest = offset
        return offset - self._quickest


class VideoImages(ImageSource):
    """What OpenCV can open. `open_capture` is given the module cv2 and returns a capture, opened or not.

    `latency`: seconds from the exposure until a frame is here. `is_stream`: it tells the camera's own time of each
    frame. What is lost on the way to OpenCV is not told by it.
    """

    def __init__(
        self, camera: str, open_capture: Callable[[Any], Any], *, latency: float = 0.0, is_stream: bool = False
    ) -> None:
        self.camera = camera
        self._open_capture, self._latency, self._is_stream = open_capture, latency, is_stream
        self._delay = Delay()
        self._capture: Any = None
        self._cv2: Any = None
        self._run, self._number = uuid.uuid4().hex[:12], 0

    def open(self) -> None:
        import cv2

        # What it writes to stderr may name addresses with their passwords.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._cv2 = cv2
        self._capture = self._open_capture(cv2)
        if not self._capture.isOpened():
            raise CameraLost(f"The camera {self.camera} does not answer, or sends nothing that can be read.")
        if self._is_stream:
            self._skip_old()

    def _skip_old(self) -> None:
        """What was received while FFmpeg looked what it is comes faster than it was taken: it is not of now."""
        began = before = time.monotonic()
        camera_before = 0.0
        while time.monotonic() - began < _SKIP_SECONDS and self._capture.grab():
            now, camera_time = time.monotonic(), self._camera_time()
            if now - before > (camera_time - camera_before) / 2 > 0 and camera_before:
                return
            before, camera_before = now, camera_time

    def _camera_time(self) -> float:
        return float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000

    def read(self, timeout: float) -> Frame | None:
        """It may take longer than `timeout`: OpenCV waits for `READ_MS`."""
        there, pixels = self._capture.read()
        if not there or pixels is None:
            raise CameraLost(f"The camera {self.camera} sends no more frames.")
        self._number += 1
        at = time.monotonic()
        ago = self._latency + (self._delay.of(self._camera_time(), at) if self._is_stream else 0.0)
        return Frame(
            key=f"{self._run}-{self._number}",
            name=f"frame-{self._number:06d}.png",
            number=self._number,
            taken_at=datetime.now(UTC) - timedelta(seconds=ago),
            at=at - ago,
            exposure_us=self._exposure(),
            pixels=pixels,
        )

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _exposure(self) -> float | None:
        if self._capture.getBackendName() != "V4L2":
            return None
        value = self._capture.get(self._cv2.CAP_PROP_EXPOSURE)
        return float(value) * _V4L2_EXPOSURE_US if value > 0 else None


def stream_capture(url: str) -> Callable[[Any], Any]:
    """Of an address that was checked (`stream_url`)."""

    def opened(cv2: Any) -> Any:
        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", _STREAM_OPTIONS)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)

    return opened


def stream_url(address: str, *, host: str, username: str, password: str) -> str:
    """The address of a stream with the host in place of its name, and with who asks for it."""
    parts = urlsplit(address)
    person = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username else ""
    at = f"[{host}]" if ":" in host else host
    query = f"?{parts.query}" if parts.query else ""
    return f"rtsp://{person}{at}:{parts.port or 554}{parts.path or '/'}{query}"


def usb_capture(index: int, *, exposure_us: float | None, gain: float | None) -> Callable[[Any], Any]:
    """Of a camera of this machine. `gain` is in the camera's own units, which it does not say."""

    def opened(cv2: Any) -> Any:
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2)
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            for name, value in _wanted(cv2, exposure_us, gain):
                if not capture.set(name, value):
                    capture.release()
                    raise CameraLost("The camera takes no exposure or gain that is set. Leave them empty.")
        return capture

    return opened


def _wanted(cv2: Any, exposure_us: float | None, gain: float | None) -> Sequence[tuple[int, float]]:
    wanted: list[tuple[int, float]] = []
    if exposure_us is not None:
        wanted += [(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL), (cv2.CAP_PROP_EXPOSURE, exposure_us / _V4L2_EXPOSURE_US)]
    if gain is not None:
        wanted.append((cv2.CAP_PROP_GAIN, gain))
    return wanted
