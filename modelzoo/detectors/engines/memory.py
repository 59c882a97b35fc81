"""How much memory a model takes, counted and not guessed."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import COMPILED, TORCH
from modelzoo.detectors.engines.selection import Scorer

_OPAQUE = (type, ModuleType, CodeType, FrameType, logging.Logger, str, bytes, int, float)


def memory_bytes(detector: Detector, scorer: Scorer, cache: Path) -> int:
    """Bytes of a detector and of what runs it.

    Args:
        cache: the folder in which the engines of this model keep their files. What another runtime than torch read of
            them lies where this process does not see it, and is counted as it lies on the disk.
    """
    return reachable_bytes(detector, scorer) + _file_bytes(cache, scorer.choice["runtime"])


def reachable_bytes(*roots: object) -> int:
    """Of all tensors and arrays that can be reached from there; what they share is counted once."""
    remaining: list[Any] = list(roots)
    seen: set[int] = set()
    memory: dict[int, int] = {}  # bytes by address
    packed = 0  # in a layout of oneDNN's own, whose address nobody is told
    while remaining:
        one = remaining.pop()
        if id(one) in seen or isinstance(one, _OPAQUE):
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            try:
                storage = one.untyped_storage()
            except NotImplementedError:
                packed += one.numel() * one.element_size()
            else:
                memory[storage.data_ptr()] = storage.nbytes()
        elif isinstance(one, np.ndarray):
            while isinstance(one.base, np.ndarray):
                one = one.base
            memory[one.__array_interface__["data"][0]] = one.nbytes
        elif isinstance(one, FunctionType):
            remaining.extend(one.__closure__ or ())
        else:
            remaining.extend(gc.get_referents(one))
    return sum(memory.values()) + packed


def _file_bytes(cache: Path, runtime: str) -> int:
    if runtime in (TORCH, COMPILED):
        return 0
    return max((path.stat().st_size for path in cache.glob("*.onnx")), default=0)
