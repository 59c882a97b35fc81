"""Our side of a speed comparison: `python -m training.benchmarks.contender model|plain|fit ...`, see `protocol`.

It reads artifacts and image files, not the database: what is measured is what a worker does between the two.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import django

from modelzoo.evaluation.rank_metrics import Ranking
from training.benchmarks.protocol import Answers, milliseconds, serve


def model(artifact: Path, sha256: str, runtime: str, precision: str, device: str) -> tuple[dict[str, Any], Answers]:
    """A trained detector in one runtime and precision."""
    import numpy as np
    import torch

    from modelzoo.detectors import artifacts
    from modelzoo.detectors.base import resolve_device
    from modelzoo.detectors.engines.selection import open_scorer
    from modelzoo.loading import scoring

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    device = resolve_device(device)
    began = time.perf_counter()
    detector = artifacts.load(artifact, expected_sha256=sha256, device=device)
    scorer = open_scorer(detector, runtime=runtime, precision=precision)
    scorer.score(detector.reference_images[:1])
    loaded = time.perf_counter() - began
    model = scoring.LoadedModel(detector, scorer, device)

    def model_only(batch: int) -> dict[str, Any]:
        images = detector.reference_images[torch.arange(batch) % len(detector.reference_images)]
        return {"ms": milliseconds(lambda: scorer.score(images)) / batch}

    def bytes_to_verdict(files: list[str]) -> dict[str, Any]:
        images = [Path(file).read_bytes() for file in files]
        return {"ms": milliseconds(lambda: scoring.score(model, images)) / len(images)}

    def auroc(files: list[str], defective: list[bool]) -> dict[str, Any]:
        results = scoring.score(model, [Path(file).read_bytes() for file in files])
        # A part that cannot be compared is rejected whatever the threshold.
        scores = [result.score if isinstance(result, scoring.ImageScore) else math.inf for result in results]
        return {"auroc": Ranking.of(np.array(scores), np.array(defective)).auroc()}

    hello = {
        "choice": scorer.choice,
        "input_size": list(detector.input_size),
        "load_seconds": round(loaded, 3),
    }
    return hello, {"model": model_only, "bytes": bytes_to_verdict, "auroc": auroc}


def plain() -> tuple[dict[str, Any], Answers]:
    """A reference that everybody has: torchvision's ResNet-18 up to layer3, float32, as it comes."""
    import torch
    from torchvision.models import resnet18

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    network = resnet18(weights=None).eval()
    stages = [network.conv1, network.bn1, network.relu, network.maxpool, network.layer1, network.layer2, network.layer3]
    backbone = torch.nn.Sequential(*stages)

    def measure(batch: int, height: int, width: int) -> dict[str, Any]:
        images = torch.rand(batch, 3, height, width)
        with torch.inference_mode():
            return {"ms": milliseconds(lambda: backbone(images)) / batch}

    return {"runtime": "torchvision"}, {"model": measure}


def fit(detector: str, backbone: str) -> tuple[dict[str, Any], Answers]:
    """The whole of a training, from files to an artifact on the disk."""
    from modelzoo.detectors import artifacts
    from modelzoo.detectors.image_source import FileImageSource
    from records.assets.images import open_pixels
    from records.assets.selectors import upload_limits
    from training.benchmarks.runs import Contestant

    limits = upload_limits()

    def measure(files: list[str]) -> dict[str, Any]:
        began = time.perf_counter()
        model = Contestant.parse(detector).detector(seed=0, defaults={"backbone": backbone})
        paths = [Path(file) for file in files]
        model.fit(FileImageSource(paths, model.preprocessing, open_image=lambda path: open_pixels(path, limits)))
        with tempfile.TemporaryDirectory() as folder:
            info = artifacts.save(model, Path(folder) / "model", {})
        seconds = time.perf_counter() - began
        return {"seconds": round(seconds, 2), "artifact_mb": round(info.size_bytes / 1e6, 1)}

    return {"detector": detector}, {"fit": measure}


def main() -> None:
    parser = argparse.ArgumentParser()
    whats = parser.add_subparsers(dest="what", required=True)
    of_model = whats.add_parser("model")
    of_model.add_argument("--artifact", type=Path, required=True)
    for name in ("sha256", "runtime", "precision", "device"):
        of_model.add_argument(f"--{name}", required=True)
    whats.add_parser("plain")
    of_fit = whats.add_parser("fit")
    for name in ("detector", "backbone"):
        of_fit.add_argument(f"--{name}", required=True)
    arguments = vars(parser.parse_args())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")
    django.setup()
    sides: dict[str, Callable[..., tuple[dict[str, Any], Answers]]] = {"model": model, "plain": plain, "fit": fit}
    serve(partial(sides[arguments.pop("what")], **arguments))


if __name__ == "__main__":
    main()
