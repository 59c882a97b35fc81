"""Training on several processes at once under `torchrun`: the first one leads, the others follow.

Only the leader reads images, draws random numbers, reports progress and keeps the best weights. Before every step it
sends the batch to the followers; each process works on its share, and gradients and batch statistics are taken over
all of them. So the training is that of one process, up to rounding, and a follower needs no data set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed, nn

# Followers wait while the leader decodes and aligns; torchrun itself ends them when the leader dies.
GROUP_TIMEOUT = timedelta(days=1)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one network together.

    Attributes:
        rank: of this process, from 0, the leader.
        size: how many processes there are.
        device: "cpu" or "cuda", of this process.
    """

    rank: int
    size: int
    device: str

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """This process's part of a batch; parts differ by one image at most."""
        return batch.tensor_split(self.size)[self.rank]

    def send(self, pair: torch.Tensor) -> None:
        """Give the followers a batch: uint8 [2,n,3,H,W]. The leader calls it, alone it does nothing."""
        if self.size > 1:
            distributed.broadcast(torch.tensor(pair.shape, device=self.device), src=0)
            distributed.broadcast(pair.to(self.device), src=0)

    def send_end(self) -> None:
        """Tell the followers that there is no further batch."""
        if self.size > 1:
            distributed.broadcast(torch.zeros(5, dtype=torch.int64, device=self.device), src=0)

    def receive(self) -> torch.Tensor | None:
        """The batch that the leader sent, or None at the end."""
        shape = torch.empty(5, dtype=torch.int64, device=self.device)
        distributed.broadcast(shape, src=0)
        if not shape.any():
            return None
        pair = torch.empty(shape.tolist(), dtype=torch.uint8, device=self.device)
        distributed.broadcast(pair, src=0)
        return pair

    def send_task(self, task: Mapping[str, Any]) -> None:
        """Tell the followers, as JSON, what will be trained."""
        if self.size > 1:
            text = torch.tensor(list(json.dumps(task).encode()), dtype=torch.uint8, device=self.device)
            distributed.broadcast(torch.tensor([len(text)], device=self.device), src=0)
            distributed.broadcast(text, src=0)

    def receive_task(self) -> dict[str, Any]:
        """What the leader sent with `send_task`."""
        length = torch.empty(1, dtype=torch.int64, device=self.device)
        distributed.broadcast(length, src=0)
        text = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        distributed.broadcast(text, src=0)
        task: dict[str, Any] = json.loads(bytes(text.tolist()))
        return task

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """A number of every process, added up."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value


@contextmanager
def process_group(device: str) -> Iterator[ProcessGroup]:
    """The group that `torchrun` made, or a group of one without it. gloo carries it on CPUs, NCCL on GPUs."""
    if not distributed.is_torchelastic_launched():
        yield ProcessGroup(rank=0, size=1, device=device)
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=GROUP_TIMEOUT)
    try:
        yield ProcessGroup(rank=distributed.get_rank(), size=distributed.get_world_size(), device=device)
    finally:
        distributed.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient, since each process's value reaches every loss."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _sum_over_processes(value: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _SumOverProcesses.apply(value)
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of the batch of all processes together.

    PyTorch's own SyncBatchNorm refuses CPUs. Alone, this is `nn.BatchNorm2d`; the parameters have the same names.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(x)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        values = x.float()
        count = _sum_over_processes(values.new_tensor(values[:, 0].numel()))
        mean = _sum_over_processes(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
