"""Two processes under torchrun train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.autoencoder.distributed import ProcessGroup
from modelzoo.detectors.errors import DetectorError
from tests.environment import ROOT
from tests.modelzoo.detectors.conftest import TensorSource, textured

# Masks, skip connections, batches that two processes cannot halve, and a last batch that is filled up.
OPTIONS = {
    "image_size": (64, 96),
    "epochs": 3,
    "latent_dim": 16,
    "learning_rate": 3e-4,
    "batch_size": 5,
    "skip_connections": True,
    "gradient_checkpointing": True,
}

SCRIPT = """
import json, os, sys
import safetensors.torch
from modelzoo.detectors import registry
from modelzoo.detectors.autoencoder.detector import follow
from tests.modelzoo.detectors.conftest import TensorSource, textured

told = []
if os.environ["RANK"] == "0":
    detector = registry.create("autoencoder", device="cpu", **json.loads(sys.argv[2]))
    source = TensorSource(textured(18, 64, 96))
    detector.fit(source, progress=lambda done, sentence: told.append(done))
    assert source.reads.tolist() == [1] * 18
    assert told == sorted(told) and told[-1] == 1.0
    safetensors.torch.save_file(detector.state(), sys.argv[1])
    print([epoch["train_loss"] for epoch in detector.history], [epoch["held_out_loss"] for epoch in detector.history])
else:
    follow("cpu")
"""


@pytest.mark.slow
def test_two_processes_reach_the_losses_and_the_weights_of_one(tmp_path: Path) -> None:
    script, saved = tmp_path / "script.py", tmp_path / "state.safetensors"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    answer = subprocess.run(
        [*command, str(saved), json.dumps(OPTIONS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert answer.returncode == 0, answer.stderr
    alone = registry.create("autoencoder", device="cpu", **OPTIONS).fit(TensorSource(textured(18, 64, 96)))
    train, held_out = ([float(x) for x in part.strip(" []\n").split(",")] for part in answer.stdout.split("] ["))
    assert train == pytest.approx([epoch["train_loss"] for epoch in alone.history], rel=1e-3)
    assert held_out == pytest.approx([epoch["held_out_loss"] for epoch in alone.history], rel=1e-3)
    together = safetensors.torch.load_file(saved)
    for name, tensor in alone.state().items():
        # Counted by PyTorch's own layer alone, used by none.
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(together[name], tensor, rtol=0.02, atol=5e-3, msg=name)


def test_a_batch_is_shared_out_whole() -> None:
    batch = torch.arange(7)
    parts = [ProcessGroup(rank, 3, "cpu").share(batch) for rank in range(3)]
    assert torch.equal(torch.cat(parts), batch)
    assert [len(part) for part in parts] == [3, 2, 2]


def test_more_processes_than_images_in_a_batch_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelzoo.detectors.autoencoder import detector

    class Alone:
        def __enter__(self) -> ProcessGroup:
            return ProcessGroup(0, 9, "cpu")

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(detector.distributed, "process_group", lambda device: Alone())
    with pytest.raises(DetectorError, match="9 processes cannot share batches of 5 images"):
        registry.create("autoencoder", device="cpu", **OPTIONS).fit(TensorSource(textured(18, 64, 96)))
