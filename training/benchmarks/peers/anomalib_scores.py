"""anomalib's PaDiM and PatchCore as the other side of an accuracy comparison: same files, same weights.

python3.11 -m venv peer && peer/bin/pip install torch==2.14.1 torchvision==0.29.1 anomalib==2.7.0 safetensors
manage.py benchmark accuracy --all --peer-python peer/bin/python

Its models and its preparation of images are used as they come. Two things differ from its command line, and neither
changes a score: no trainer stands around the models, and the greedy selection of the coreset computes distances with
one product of a matrix and a vector a step, without which a few hundred images take hours.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data.utils import read_image
from anomalib.models import Padim, Patchcore
from anomalib.models.components.sampling.k_center_greedy import KCenterGreedy
from safetensors.torch import load_file

from training.benchmarks.protocol import Answers, serve

_BATCH_SIZE = 8
# The share of patches that is kept; of those that are published (25, 10 and 1 %) the one that two cores can compute.
_CORESET_RATIO = 0.01


def start() -> tuple[dict[str, Any], Answers]:
    """Answers `fit` on files, then `score` on files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--detector", choices=["padim", "patchcore"], required=True)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors with torchvision's names")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    KCenterGreedy.update_distances = _update_distances
    weights = load_file(arguments.weights)
    models: list[Padim | Patchcore] = []

    def fit(files: list[str], seed: int) -> dict[str, Any]:
        began = time.monotonic()
        torch.manual_seed(seed)
        np.random.seed(seed)  # scikit-learn draws the projection of the coreset's distances
        model = _create(arguments.detector, weights)
        with torch.no_grad():
            for images in _batches(files, model):
                model.model(images)
            model.fit()
        model.eval()
        models[:] = [model]
        return {"seconds": round(time.monotonic() - began, 1)}

    def score(files: list[str], maps: str) -> dict[str, Any]:
        """Raw scores; the raw map of the i-th file is written to `maps`/i.npy, float32 [H,W] of the model's input."""
        scores: list[float] = []
        with torch.inference_mode():
            for images in _batches(files, models[0]):
                answer = models[0].model(images)
                for value, anomaly_map in zip(answer.pred_score.flatten(), answer.anomaly_map, strict=True):
                    np.save(Path(maps) / f"{len(scores)}.npy", anomaly_map.squeeze().float().numpy())
                    scores.append(float(value))
        return {"scores": scores}

    return {"name": f"anomalib {arguments.detector}"}, {"fit": fit, "score": score}


def _create(detector: str, weights: dict[str, torch.Tensor]) -> Padim | Patchcore:
    plain = {"backbone": "resnet18", "pre_trained": False, "visualizer": False, "evaluator": False}
    if detector == "padim":
        model = Padim(layers=["layer1", "layer2", "layer3"], n_features=100, **plain)
    else:
        model = Patchcore(layers=["layer2", "layer3"], coreset_sampling_ratio=_CORESET_RATIO, num_neighbors=9, **plain)
    missing, _ = model.model.feature_extractor.feature_extractor.load_state_dict(weights, strict=False)
    if missing:
        raise ValueError(f"the weights lack {missing}")
    return model.train()


def _batches(files: list[str], model: Padim | Patchcore) -> Iterator[torch.Tensor]:
    """Images as the model's own preparation makes them, one by one, since sizes may differ."""
    for begin in range(0, len(files), _BATCH_SIZE):
        images = [read_image(file, as_tensor=True)[None] for file in files[begin : begin + _BATCH_SIZE]]
        yield torch.cat([model.pre_processor(image) for image in images])


def _update_distances(self: KCenterGreedy, cluster_center: torch.Tensor | None) -> None:
    """|x - c|^2 = |x|^2 - 2 x.c + |c|^2: squares select what the distances of `KCenterGreedy` select."""
    if cluster_center is None:
        return
    if self.min_distances is None:
        self.squares = (self.features**2).sum(dim=1)
    center = self.features[cluster_center].flatten()
    distances = torch.addmv(self.squares, self.features, center, alpha=-2).add_(self.squares[cluster_center])
    distances = distances.clamp_(min=0)[:, None]
    self.min_distances = distances if self.min_distances is None else torch.minimum(self.min_distances, distances)


if __name__ == "__main__":
    serve(start)
