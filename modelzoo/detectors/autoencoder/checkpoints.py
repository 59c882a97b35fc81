"""A training that was interrupted goes on where it was: its whole state after an epoch, in one file of safetensors.

What goes on is what would have come without the interruption, bit for bit: beside weights and the optimizer's moments
the file holds the schedule and the random generators.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from common.files import write_whole
from modelzoo.detectors.autoencoder.network import AutoencoderConfig, Trainer

log = logging.getLogger(__name__)
FORMAT = 1  # another number wherever this or the training changes: what older code left is not gone on with
INTERVAL_SECONDS = 15.0  # at most this much of a training, and one epoch, is done again


@dataclass
class EpochState:
    """How far a training is.

    Attributes:
        epoch: the last whole one, from 1; 0 before the first.
        best: weights of the epoch `best_epoch`, whose loss on the held-out images, `best_loss`, is the lowest so far.
        history: one dict per epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)


def identity(config: AutoencoderConfig, device: str, batches: Iterable[torch.Tensor]) -> str:
    """Of a training: two with the same one would come out alike. `batches`: all images, uint8 [B,3,H,W]."""
    digest = hashlib.sha256(json.dumps([FORMAT, torch.__version__, device, config.as_dict()]).encode())
    for batch in batches:
        digest.update(repr(tuple(batch.shape)).encode())
        digest.update(batch.contiguous().numpy().tobytes())
    return digest.hexdigest()


class Checkpoint:
    """The file of one training."""

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity
        self._written_at = time.monotonic()

    def restore(self, trainer: Trainer) -> EpochState | None:
        """Brings trainer and random generators to where they were. None, and nothing is changed, without a file of this
        very training that is whole."""
        try:
            document, tensors = _read(self._path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            log.warning("The checkpoint %s cannot be used, the training begins anew: %s", self._path.name, error)
            return None
        if document["identity"] != self._identity:
            log.warning("The checkpoint %s is of another training: this one begins anew.", self._path.name)
            return None
        _load(trainer, document["trainer"], tensors)
        return EpochState(**document["state"], best=_named(tensors, "best."))

    def write(self, trainer: Trainer, state: EpochState) -> None:
        """Keeps the state, unless it was kept a moment ago. A disk that refuses ends no training."""
        if time.monotonic() - self._written_at < INTERVAL_SECONDS:
            return
        tensors = _tensors(trainer) | {f"best.{name}": tensor for name, tensor in state.best.items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        numbers = {name: value for name, value in vars(state).items() if name != "best"}
        document = {"identity": self._identity, "sha256": _digest(tensors), "state": numbers}
        document["trainer"] = {
            "schedule": _numbers_of(trainer.schedule.state_dict()),
            "scaler": trainer.scaler.state_dict(),
            "learning_rates": [group["lr"] for group in trainer.optimizer.param_groups],
        }
        try:
            with write_whole(self._path) as out:
                out.write(save(tensors, metadata={"training": json.dumps(document)}))
        except OSError as error:
            log.warning("The state of the training could not be kept (%s). It goes on without.", error)
        self._written_at = time.monotonic()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Raises `ValueError` where the bytes are not those that were written."""
    with safe_open(path, framework="pt") as file:
        document: dict[str, Any] = json.loads((file.metadata() or {})["training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if document["sha256"] != _digest(tensors):
        raise ValueError("its bytes have changed")
    return document, tensors


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    tensors = {f"network.{name}": tensor for name, tensor in trainer.network.state_dict().items()}
    for number, moments in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if trainer.group.device == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    if trainer.masks is not None:
        tensors["random.masks"] = trainer.masks.get_state()
    return tensors


def _load(trainer: Trainer, document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    trainer.network.load_state_dict(_named(tensors, "network."))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in _named(tensors, "optimizer.").items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = tensor
    groups = trainer.optimizer.state_dict()["param_groups"]
    for group, rate in zip(groups, document["learning_rates"], strict=True):
        group["lr"] = rate
    trainer.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    trainer.schedule.load_state_dict(trainer.schedule.state_dict() | document["schedule"])
    if document["scaler"]:
        trainer.scaler.load_state_dict(document["scaler"])
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    if trainer.masks is not None:
        trainer.masks.set_state(tensors["random.masks"])


def _named(tensors: dict[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _numbers_of(schedule: dict[str, Any]) -> dict[str, Any]:
    """What of its state is no function."""
    return {name: value for name, value in schedule.items() if name != "lr_lambdas"}
