"""Our side of a speed comparison: `python -m training.benchmarks.contender model|plain|fit ...`, see `protocol`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import django

from training.benchmarks.protocol import Answers, milliseconds, peak_mb, serve


def model(version_id: int, runtime: str, precision: str, device: str) -> tuple[dict[str, Any], Answers]:
    """A trained version in one runtime and precision."""
    import torch

    from modelzoo import runtime as bridge
    from modelzoo.selectors import find_version

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.zeros(1).exp()
    version = find_version(wanted=version_id)
    began = time.perf_counter()
    held = bridge.hold(version, device, runtime=runtime, precision=precision)
    probe = held.detector.probe
    held.scorer.score(probe[:1])
    loaded = time.perf_counter() - began

    def tensors(batch: int) -> torch.Tensor:
        return probe[torch.arange(batch) % len(probe)]

    def model_only(batch: int) -> dict[str, Any]:
        images = tensors(batch)
        return {"ms": milliseconds(lambda: held.scorer.score(images)) / batch}

    def bytes_to_verdict(batch: int) -> dict[str, Any]:
        files = [image.asset.read() for image in _test_images(version, batch)]
        return {"ms": milliseconds(lambda: bridge.score(held, files)) / len(files)}

    def auroc() -> dict[str, Any]:
        from training.evaluation import evaluate_images

        images = _test_images(version)
        metrics = evaluate_images(held.scorer, images, 0.0, progress=lambda fraction, sentence: None)
        return {"auroc": metrics["image"]["auroc"], "pixel_auroc": (metrics["pixel"] or {}).get("auroc")}

    hello = {
        "runtime": held.scorer.choice["runtime"],
        "precision": held.scorer.choice["precision"],
        "input_size": list(held.detector.input_size),
        "load_seconds": round(loaded, 3),
        "artifact_mb": round(version.artifact_bytes / 1e6, 1),
    }
    return hello, {
        "model": model_only,
        "bytes": bytes_to_verdict,
        "auroc": auroc,
        "peak": lambda: {"mb": peak_mb()},
    }


def _test_images(version: Any, at_most: int | None = None) -> list[Any]:
    from mvtec_site.errors import UserError
    from training.models import Dataset
    from training.selectors import images_of

    dataset = Dataset.objects.filter(snapshot=version.dataset_snapshot).first()
    images = images_of(dataset, "test") if dataset else []
    if not images:
        raise UserError(f"{version} has no test images here to be measured with.")
    count = at_most or len(images)
    return [images[index % len(images)] for index in range(count)]


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


def fit(dataset: str, detector: str, backbone: str) -> tuple[dict[str, Any], Answers]:
    """The whole of a training, from files to an artifact on the disk, once."""
    from modelzoo.detectors import artifacts
    from training.benchmarks.runs import Contestant
    from training.runner import source_of
    from training.selectors import images_of, latest_dataset

    made = Contestant.parse(detector).detector(seed=0, defaults={"backbone": backbone})
    images = images_of(latest_dataset(dataset), "train")

    def measure() -> dict[str, Any]:
        began = time.perf_counter()
        made.fit(source_of(images, made))
        with tempfile.TemporaryDirectory() as folder:
            info = artifacts.save(made, Path(folder) / "model", {})
        seconds = time.perf_counter() - began
        return {"seconds": round(seconds, 2), "peak_mb": peak_mb(), "artifact_mb": round(info.size_bytes / 1e6, 1)}

    return {"images": len(images)}, {"fit": measure}


def main() -> None:
    parser = argparse.ArgumentParser()
    whats = parser.add_subparsers(dest="what", required=True)
    of_model = whats.add_parser("model")
    of_model.add_argument("version_id", type=int)
    for name in ("runtime", "precision", "device"):
        of_model.add_argument(f"--{name}", required=True)
    whats.add_parser("plain")
    of_fit = whats.add_parser("fit")
    for name in ("dataset", "detector", "backbone"):
        of_fit.add_argument(f"--{name}", required=True)
    given = vars(parser.parse_args())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")
    django.setup()
    sides: dict[str, Callable[..., tuple[dict[str, Any], Answers]]] = {"model": model, "plain": plain, "fit": fit}
    serve(partial(sides[given.pop("what")], **given))


if __name__ == "__main__":
    main()
