"""Features stored on the disk between two uses, so that images are decoded and described once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import torch

# More than this is not written: the images are described twice instead.
MAX_BYTES = 2 * 2**30


class FeatureSpool:
    """Float32 tensors [n,...] of equal shapes but for n, written one after the other and read in the same order.

    A temporary file without a name: it is gone with the process, however that ends. Memory does not grow with it.

    Attributes:
        complete: false once something was too large to be stored; then nothing is.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.complete = True
        self._max_bytes = max_bytes
        self._file = tempfile.TemporaryFile(prefix="features-")  # noqa: SIM115 - closed by __exit__
        self._shape: tuple[int, ...] = ()
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, tensor: torch.Tensor) -> None:
        """Keep float32 [n,...]; a disk that is full is no error, it only makes the spool incomplete."""
        if not self.complete:
            return
        array = tensor.cpu().contiguous().numpy()
        self._shape = array.shape[1:]
        self._bytes += array.nbytes
        try:
            if self._bytes > self._max_bytes:
                raise OSError("more than the spool may hold")
            self._file.write(array.data)
            self._file.flush()
        except OSError:
            self.complete = False
            self._file.truncate(0)

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """What was stored, `size` at a time. A tensor is valid until the next one is read: they share their memory."""
        self._file.seek(0)
        buffer = np.empty((size, *self._shape), dtype=np.float32)
        while read := self._file.readinto(buffer.data):
            yield torch.from_numpy(buffer[: read // buffer[0].nbytes])
