"""anomalib's PaDiM as the other side of a speed comparison: same images, same weights, same threads.

python3.11 -m venv peer && peer/bin/pip install torch==2.14.1 torchvision==0.29.1 anomalib==2.7.0 safetensors
make bench PEER_PYTHON=peer/bin/python
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Padim
from lightning.pytorch import Callback
from safetensors.torch import load_file

from training.benchmarks.protocol import Answers, milliseconds, peak_mb, serve


class _Validation(Callback):
    """How long the engine scored test images, which it does as a part of fitting."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    # The model computes its Gaussians when validation starts; its epoch comes after that.
    def on_validation_epoch_start(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def on_validation_end(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._began


def start() -> tuple[dict[str, Any], Answers]:
    """Fits at once, since only a fitted model can be measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--category", type=Path, required=True, help="folder in MVTec layout")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors with torchvision's names")
    arguments = parser.parse_args()
    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    model = Padim(backbone="resnet18", layers=["layer1", "layer2", "layer3"], pre_trained=False, n_features=100)
    backbone = model.model.feature_extractor.feature_extractor
    missing, _ = backbone.load_state_dict(load_file(arguments.weights), strict=False)
    if missing:
        raise ValueError(f"{arguments.weights} lacks {missing}")
    defects = sorted(f"test/{path.name}" for path in (arguments.category / "test").iterdir() if path.name != "good")
    data = Folder(
        name=arguments.category.name,
        root=arguments.category,
        normal_dir="train/good",
        abnormal_dir=defects,
        normal_test_dir="test/good",
        train_batch_size=32,
        eval_batch_size=32,
        num_workers=threads,
        val_split_mode="same_as_test",
        test_split_mode="from_dir",
    )
    with tempfile.TemporaryDirectory() as folder:
        validation = _Validation()
        engine = Engine(accelerator="cpu", devices=1, logger=False, default_root_dir=folder, callbacks=[validation])
        began = time.perf_counter()
        engine.fit(model, datamodule=data)
        seconds = time.perf_counter() - began
    fit = {
        "seconds": round(seconds, 2),
        "of_which_validation": round(validation.seconds, 2),
        "images": len(data.train_data),
        "validation_images": len(data.val_data),
        "peak_mb": peak_mb(),
    }
    parts = {"model": model.model.eval(), "backbone": backbone}

    def measure(of: str, batch: int, height: int, width: int) -> dict[str, Any]:
        images = torch.rand(batch, 3, height, width)
        with torch.inference_mode():
            return {"ms": milliseconds(lambda: parts[of](images)) / batch}

    return {"name": "anomalib PaDiM resnet18", "fit": fit}, {"model": measure}


if __name__ == "__main__":
    serve(start)
