"""Images as a stream of batches, decoded when they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch
from PIL import Image, ImageOps

from modelzoo.detectors.base import ImageSource
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.preprocessing import Preprocessing


def open_rgb(path: Path) -> Image.Image:
    """Decode a file to 8-bit RGB with the EXIF orientation applied.

    Grey and bilevel images are replicated into three channels, palettes are looked up, an alpha channel is dropped
    when it is opaque everywhere. What has no single meaning as 8-bit RGB is refused rather than guessed: real
    transparency, CMYK, 16-bit and floating-point images.

    Raises:
        DetectorError: names the file and the reason.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DetectorError(f"{path.name} cannot be read as an image: {error}") from error
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise DetectorError(f"{path.name} has transparent pixels; there is no defined colour behind them.")
    elif image.mode not in ("1", "L", "P", "RGB"):
        raise DetectorError(f"{path.name} is in mode {image.mode}, which has no defined conversion to 8-bit RGB.")
    return image.convert("RGB")


class FileImageSource:
    """Image files, decoded by a few threads, at most two batches ahead: memory does not grow with their number.

    Args:
        paths: the files, in the order in which `batches` yields them.
        preprocessing: that of the detector which will see the images (`detector.preprocessing`).
        open_image: how a file becomes an RGB image; the product passes its upload gate, so that training and
            inspection decode by the same rules.
        workers: decoding threads (Pillow releases the interpreter lock while it decodes and resizes).
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        open_image: Callable[[Path], Image.Image] = open_rgb,
        workers: int = 2,
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self.preprocessing = preprocessing
        self.open_image = open_image
        self.workers = workers

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Generator[torch.Tensor, None, None]:
        """uint8 [b,3,H,W] tensors of at most `size` images, in the order of `indices` (default: all, in order).

        Closing the generator stops the decoding.
        """
        waiting = iter(range(len(self)) if indices is None else indices)
        pool = ThreadPoolExecutor(self.workers)
        try:
            ahead: deque[Future[torch.Tensor]] = deque(
                pool.submit(self._pixels, index) for index in islice(waiting, 2 * size)
            )
            while ahead:
                batch = [ahead.popleft().result() for _ in range(min(size, len(ahead)))]
                ahead.extend(pool.submit(self._pixels, index) for index in islice(waiting, len(batch)))
                yield torch.stack(batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pixels(self, index: int) -> torch.Tensor:
        return self.preprocessing.prepare(self.open_image(self.paths[index])).pixels


class CachedImageSource:
    """Another source, decoded once and kept as uint8 when that takes at most `limit_bytes`, else passed through.

    Training by gradient reads every image once per epoch; decoding it every time would cost more than the network.
    """

    def __init__(self, source: ImageSource, limit_bytes: int = 2**30) -> None:
        self.source = source
        self.limit_bytes = limit_bytes
        self._pixels: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.source)

    def fill(self, size: int, each: Callable[[int], None]) -> None:
        """Decode everything now, `size` images at a time; `each` is told how many are done."""
        done = 0
        for batch in self.source.batches(size):
            if self._pixels is None:
                if batch[0].numel() * len(self) > self.limit_bytes:
                    return
                self._pixels = torch.empty((len(self), *batch.shape[1:]), dtype=torch.uint8)
            self._pixels[done : done + len(batch)] = batch
            done += len(batch)
            each(done)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """As the source that was given."""
        if self._pixels is None:
            yield from self.source.batches(size, indices)
            return
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(list(indices), dtype=torch.long)
        for chunk in order.split(size):
            if len(chunk):
                yield self._pixels[chunk]
