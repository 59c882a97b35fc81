"""Counting the bytes of a model."""

from __future__ import annotations

import numpy as np
import torch

from modelzoo.detectors.engines.memory import reachable_bytes


def test_what_is_shared_is_counted_once() -> None:
    weights, array = torch.zeros(1000), np.zeros(500, dtype=np.float64)
    halves = {"a": weights[:500], "b": weights[500:], "view": array[::2], "again": array}
    assert reachable_bytes(halves) == 4000 + 4000
    assert reachable_bytes(halves, halves, [weights]) == 8000

    def closure() -> torch.Tensor:
        return weights

    assert reachable_bytes(closure) == 4000
    assert reachable_bytes("text", 5, None, np) == 0


def test_weights_in_a_layout_of_onednn_count_too() -> None:
    """They have no storage that could be asked; what convolutions by oneDNN keep is such a tensor."""
    packed = torch.ones(8, 4, 3, 3).to_mkldnn()
    assert reachable_bytes([packed, packed], {"again": packed}) == 8 * 4 * 3 * 3 * 4
