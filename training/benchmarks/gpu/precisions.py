"""What float32 means on a GPU: with or without TF32, whose products have the ten bits of half precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(*, convolutions: bool, products: bool) -> Iterator[None]:
    """Convolutions in TF32 are PyTorch's default, matrix products are not."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision("high" if products else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])
