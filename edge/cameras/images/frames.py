"""One frame of a camera, and what each source of frames does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from jobs.outbox import NotSent
from records.assets.images import ImageRejected, pixels_to_decode
from records.assets.selectors import upload_limits

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[numpy.uint8] | NDArray[numpy.uint16]

PREVIEW_PX = 640  # the longer side of a preview
_PREVIEW_QUALITY = 75
_FAST_PNG = 1


class CameraLost(NotSent):
    """The camera is not there, or not any more: it is opened again after a pause."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture as it came: a `file` as it is, or `pixels`: height x width, or height x width x 3 (blue, green, red).

    `number`: the camera's own count where it has one, otherwise ours; `key` names the frame within its connection, also
    after a restart; `lost`: how many the camera took since the one before that never came. `bits`: of each value of
    `pixels`, such as 12 of a camera that gives 16-bit numbers. None of `exposure_us` and `gain_db`: not known.
    """

    key: str
    name: str
    number: int
    taken_at: datetime
    at: float  # the same moment in monotonic seconds
    lost: int = 0
    exposure_us: float | None = None
    gain_db: float | None = None
    file: bytes | None = None
    pixels: Pixels | None = None
    bits: int = 8

    def data(self) -> bytes:
        """The bytes of an image file that has lost nothing: the original one, or PNG."""
        if self.file is not None:
            return self.file
        import cv2

        done, png = cv2.imencode(".png", self._pixels(), [cv2.IMWRITE_PNG_COMPRESSION, _FAST_PNG])
        assert done, "a frame of one or three channels can be written"
        return png.tobytes()

    def preview(self) -> bytes | None:
        """A small JPEG of it; None where it is no image that could be shown."""
        import cv2

        pixels: Any = self._decoded() if self.file is not None else self._pixels()
        if pixels is None or not pixels.size:
            return None
        longest = max(pixels.shape[:2])
        if longest > PREVIEW_PX:
            height, width = (max(1, round(side * PREVIEW_PX / longest)) for side in pixels.shape[:2])
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        if pixels.dtype != "uint8":
            pixels = (pixels >> (max(self.bits, 8) - 8)).clip(0, 255).astype("uint8")
        done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY])
        return jpeg.tobytes() if done else None

    def _pixels(self) -> Pixels:
        assert self.pixels is not None, "a frame is a file or pixels"
        return self.pixels

    def _decoded(self) -> Any:
        """The file's pixels with 8 bits. What claims more pixels than an upload may have is not looked at."""
        import cv2
        import numpy

        assert self.file is not None
        try:
            if not pixels_to_decode(self.file, upload_limits()):
                return None
        except ImageRejected:
            return None
        try:
            return cv2.imdecode(numpy.frombuffer(self.file, numpy.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None


class ImageSource(ABC):
    """Gives the frames of one camera, one after another. Used by one thread at a time.

    After any exception it is closed, and another one is made.
    """

    camera: str = ""  # what it is called in records, known once it is open

    @abstractmethod
    def open(self) -> None:
        """Raises `CameraLost` where the camera cannot be had."""

    @abstractmethod
    def read(self, timeout: float) -> Frame | None:
        """The next frame; None where none came within so many seconds. Raises `CameraLost` when no more will come."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the camera, also where `open` failed. Raises nothing that matters."""
