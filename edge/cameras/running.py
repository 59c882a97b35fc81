"""The cameras that run in this process: their newest frames, for triggers and for the live view."""

from __future__ import annotations

import threading
import time
from collections import deque

from edge.cameras.images.frames import Frame
from edge.cameras.services import FrameFacts
from edge.connections.kinds import Target

_RATE_SECONDS = 5.0


class RunningCamera:
    """One camera from when it is opened until it is lost."""

    def __init__(self, target: Target) -> None:
        self.connection_id, self.name = target.connection_id, target.name
        self.camera = ""  # known once it is open
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._times: deque[float] = deque()

    def show(self, frame: Frame) -> None:
        """A new frame: whoever waits for one gets it."""
        with self._changed:
            self._newest = frame
            self._times.append(time.monotonic())
            self._changed.notify_all()

    @property
    def newest(self) -> Frame | None:
        return self._newest

    def wait_for(self, *, oldest: float, but: str, wait: float) -> Frame | None:
        """The newest frame, taken at `oldest` (monotonic seconds) or later and of another key than `but`."""
        end = time.monotonic() + wait
        with self._changed:
            while True:
                frame = self._newest
                if frame is not None and frame.at >= oldest and frame.key != but:
                    return frame
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None

    def rate(self) -> float:
        """Frames a second, lately."""
        now = time.monotonic()
        with self._changed:
            while self._times and now - self._times[0] > _RATE_SECONDS:
                self._times.popleft()
            span = now - self._times[0] if self._times else 0.0
            return (len(self._times) - 1) / span if len(self._times) > 1 and span > 0 else 0.0

    def facts_of(self, frame: Frame) -> FrameFacts:
        return FrameFacts(
            connection_id=self.connection_id,
            connection=self.name,
            camera=self.camera,
            number=frame.number,
            taken_at=frame.taken_at,
            exposure_us=frame.exposure_us,
            gain_db=frame.gain_db,
            lost_before=frame.lost,
        )


_running: dict[str, RunningCamera] = {}
_lock = threading.Lock()


def register(camera: RunningCamera) -> None:
    with _lock:
        _running[camera.name] = camera


def unregister(camera: RunningCamera) -> None:
    with _lock:
        if _running.get(camera.name) is camera:
            del _running[camera.name]


def running_camera(name: str) -> RunningCamera | None:
    """By the name of its connection."""
    with _lock:
        return _running.get(name)
