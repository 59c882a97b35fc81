"""What all sections share: sizes, made-up parts, the models that the first of them fitted, and how time is taken."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.backbones.networks import ARCHITECTURES
from modelzoo.detectors.backbones.weights import DIRECTORY_VARIABLE, resolve_weights
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import WeightsError

CUDA = "cuda"
BACKBONE, PACKAGED_BACKBONE = "resnet18", "efficientnet_lite0"
# What one turn of a measurement lasts at least: shorter ones would measure the clock.
TURN_SECONDS = 0.02


@dataclass(frozen=True)
class Sizes:
    """How much is done: `side` of the model's input and `photo` of JPEGs in pixels, all else in numbers of them."""

    side: int
    train: int
    test: int
    batches: tuple[int, ...]
    epochs: int
    photo: int
    photos: int
    processes: int
    seconds: float  # that worker processes score for
    rounds: int  # of which the median is taken


FULL = Sizes(256, 64, 64, (1, 8, 32, 128), 5, 1024, 32, 4, 4.0, 9)
DRY = Sizes(64, 12, 8, (1, 4), 2, 256, 4, 4, 0.3, 1)


class Parts:
    """Made-up good parts as an image source, uint8 [N,3,H,W]."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """See `ImageSource`."""
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(list(indices), dtype=torch.long)
        for chunk in order.split(size):
            if len(chunk):
                yield self.images[chunk]


@dataclass(frozen=True)
class Setting:
    """Where and how long a section works.

    Attributes:
        device: "cuda", or "cpu" for a dry run.
        folder: of this run; holds the fitted models.
        until: of `time.monotonic`.
    """

    device: str
    folder: Path
    until: float

    @property
    def sizes(self) -> Sizes:
        return FULL if self.device == CUDA else DRY

    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    def parts(self, n: int, seed: int = 0, *, defective: int = 0) -> torch.Tensor:
        """uint8 [n,3,H,W] of parts, the last ones defective."""
        side = self.sizes.side
        return torch.stack([made_up_part(side, 1000 * seed + index, index >= n - defective) for index in range(n)])

    def good_parts(self) -> torch.Tensor:
        """Those on which it is measured how far a way of computing moves scores."""
        return self.parts(self.sizes.test, seed=1)

    def test_parts(self) -> torch.Tensor:
        """The same for all: half of them are defective."""
        return self.parts(self.sizes.test, seed=1, defective=self.sizes.test // 2)

    def options(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Of the models: all registered detectors, and one with the backbone that has its weights in a package."""
        self.provide_weights()
        models: dict[str, tuple[str, dict[str, Any]]] = {}
        for algorithm in registry.names():
            options: dict[str, Any] = {"image_size": (self.sizes.side, self.sizes.side)}
            known = registry.options_for(algorithm)
            if "backbone" in known:
                options["backbone"] = BACKBONE
            if "epochs" in known:
                options |= {"epochs": self.sizes.epochs, "batch_size": 8, "latent_dim": 64, "precision": "fp32"}
            models[algorithm] = (algorithm, options)
        try:
            resolve_weights(PACKAGED_BACKBONE)
        except WeightsError:
            return models
        algorithm, options = models["padim"]
        return models | {f"padim {PACKAGED_BACKBONE}": (algorithm, options | {"backbone": PACKAGED_BACKBONE})}

    def provide_weights(self) -> str:
        """Where the ResNet-18's weights come from: published ones where they are, else numbers drawn here, which are as
        good for everything but finding defects."""
        folder = self.folder / "weights"
        if not folder.exists():
            try:
                return resolve_weights(BACKBONE).source
            except WeightsError:
                folder.mkdir()
                with torch.random.fork_rng([]):
                    torch.manual_seed(0)
                    network = ARCHITECTURES[BACKBONE].build()
                safetensors.torch.save_file(network.state_dict(), folder / f"{BACKBONE}.safetensors")
        os.environ[DIRECTORY_VARIABLE] = str(folder)
        return "random numbers"

    def create(self, model: str, device: str, **others: Any) -> Detector:
        """An unfitted one of `options`."""
        algorithm, options = self.options()[model]
        return registry.create(algorithm, device=device, **(options | others))

    def artifact(self, model: str) -> Path:
        return self.folder / model.replace(" ", "-")

    def detector(self, model: str, device: str = "") -> Detector:
        """One of `options`, as the first section fitted it on the CPU."""
        return artifacts.load(self.artifact(model), device=device or self.device)

    def in_turns(self, ways: Mapping[str, Callable[[], object]], *, wall: bool = False) -> dict[str, float]:
        """Milliseconds that one call of each way takes: the median over rounds in which all take turns.

        Args:
            wall: by the clock of the host, until everything is done; else by events in the GPU's own stream.
        """
        counts: dict[str, int] = {}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for name, way in ways.items():
            way()  # kernels are chosen and memory is taken at the first call
            way()
            counts[name] = max(1, int(1000 * TURN_SECONDS / max(1e-3, self._time(way, 1, wall))))
        for _ in range(self.sizes.rounds):
            for name, way in ways.items():
                times[name].append(self._time(way, counts[name], wall))
            if self.seconds_left() < 0:
                break
        return {name: statistics.median(values) for name, values in times.items()}

    def _time(self, way: Callable[[], object], count: int, wall: bool) -> float:
        if wall or self.device != CUDA:
            self.synchronise()
            start = time.perf_counter()
            for _ in range(count):
                way()
            self.synchronise()
            return (time.perf_counter() - start) * 1000 / count
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(count):
            way()
        last.record()
        torch.cuda.synchronize()
        return float(first.elapsed_time(last)) / count

    def synchronise(self) -> None:
        if self.device == CUDA:
            torch.cuda.synchronize()


def score_shift(detector: Detector, scores: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of good parts' scores, in standard deviations of the detector's held-out scores."""
    return float(np.abs(scores - expected).max() / np.std(detector.held_out_scores))


def made_up_part(side: int, seed: int, defective: bool) -> torch.Tensor:
    """uint8 [3,side,side]: a bright ring with a texture, whose place and brightness vary a little; a defective one has
    a dark scratch."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    rows, columns = rows + generator.normal(0, 0.004), columns + generator.normal(0, 0.004)
    radius = np.hypot(rows, columns)
    pixels = np.where((radius < 0.36) & (radius > 0.1), 170 + 15 * np.sin(60 * radius), 45.0)
    if defective:
        along = columns * 0.92 + rows * 0.39
        across = rows * 0.92 - columns * 0.39 + generator.uniform(0.12, 0.28)
        pixels = np.where((np.abs(across) < 0.03) & (np.abs(along) < 0.12), 20.0, pixels)
    colours = np.array([1.0, 1.01, 0.98])[:, None, None] * generator.normal(1, 0.01)
    noise = generator.normal(0, 4, (3, side, side))
    return torch.from_numpy(np.clip(pixels * colours + noise, 0, 255).astype(np.uint8))
