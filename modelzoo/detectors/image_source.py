"""Images as a stream of batches, decoded when they are needed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from common.pixels.sixteen_bit import is_sixteen_bit
from modelzoo.detectors.base import ImageSource
from modelzoo.detectors.preprocessing.pipeline import Preprocessing

T = TypeVar("T")


class FileImageSource:
    """Image files, decoded by a few threads, at most two batches ahead: memory does not grow with their number.

    Args:
        paths: the files, in the order in which `batches` yields them.
        preprocessing: that of the detector which will see the images (`detector.preprocessing`).
        open_image: how a file becomes an RGB or 16-bit grey image. The product passes its upload validation, so that
            training and inspection decode by the same rules; it raises an error that names the file.
        workers: decoding threads (Pillow releases the interpreter lock while it decodes and resizes).
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        open_image: Callable[[Path], Image.Image],
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
        prepared = self.map(lambda image: self.preprocessing.prepare(image).pixels, indices, ahead=2 * size)
        with contextlib.closing(prepared):
            while batch := list(islice(prepared, size)):
                yield torch.stack(batch)

    def map(
        self, function: Callable[[Image.Image], T], indices: Sequence[int] | None = None, *, ahead: int = 16
    ) -> Generator[T, None, None]:
        """`function` of each decoded image, in order, worked out by the threads, at most `ahead` images early.

        16-bit images come in RGB as soon as the preprocessing has a window. Closing the generator stops the decoding.
        """
        remaining = iter(range(len(self)) if indices is None else indices)
        pool = ThreadPoolExecutor(self.workers)

        def work(index: int) -> T:
            image, window = self.open_image(self.paths[index]), self.preprocessing.window
            return function(window.apply(image) if window and is_sixteen_bit(image) else image)

        try:
            pending = deque(pool.submit(work, index) for index in islice(remaining, ahead))
            while pending:
                done = pending.popleft().result()
                pending.extend(pool.submit(work, index) for index in islice(remaining, 1))
                yield done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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

    def fill(self, size: int, on_progress: Callable[[int], None]) -> None:
        """Decode everything now, `size` images at a time; `on_progress` gets how many are done."""
        done = 0
        for batch in self.source.batches(size):
            if self._pixels is None:
                if batch[0].numel() * len(self) > self.limit_bytes:
                    return
                self._pixels = torch.empty((len(self), *batch.shape[1:]), dtype=torch.uint8)
            self._pixels[done : done + len(batch)] = batch
            done += len(batch)
            on_progress(done)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """As those of the source."""
        if self._pixels is None:
            yield from self.source.batches(size, indices)
            return
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(list(indices), dtype=torch.long)
        for chunk in order.split(size):
            if len(chunk):
                yield self._pixels[chunk]
