"""Coreset sampling: a few patches that represent many."""

from __future__ import annotations

from collections.abc import Callable

import torch

from modelzoo.detectors.options import RANDOM

# Steps between two calls of `on_progress`.
PROGRESS_INTERVAL = 256


def select_coreset(
    sampling: str, points: torch.Tensor, size: int, generator: torch.Generator, on_progress: Callable[[int], None]
) -> torch.Tensor:
    """Indices, int64 [m] on the device of the points, of at most `size` of the points, float32 [n,d].

    Args:
        sampling: one of `options.SAMPLINGS`.
        generator: on the CPU; what is drawn is the same on every device.
        on_progress: gets now and then how many have been chosen; it may raise to stop.
    """
    if sampling == RANDOM:
        return torch.randperm(len(points), generator=generator)[:size].to(points.device)
    return _k_center(points, size, generator, on_progress)


def project(points: torch.Tensor, dimensions: int, generator: torch.Generator) -> torch.Tensor:
    """float32 [n,dimensions], of [n,C] in any precision, by a random matrix that keeps distances on average (Johnson &
    Lindenstrauss 1984); the points themselves where they have no more dimensions than that."""
    if points.shape[1] <= dimensions:
        return points.float()
    matrix = torch.randn(points.shape[1], dimensions, generator=generator).to(points.device) * dimensions**-0.5
    return torch.cat([part.float() @ matrix for part in points.split(8192)])


def _k_center(
    points: torch.Tensor, size: int, generator: torch.Generator, on_progress: Callable[[int], None]
) -> torch.Tensor:
    """The greedy algorithm of Gonzalez 1985 ("Clustering to minimize the maximum intercluster distance"), at most
    twice as far from every point as the best choice: always take the point farthest from those taken.

    One pass over the points per step, n + n d numbers in memory. Ends early when every point has been taken or equals
    one that was.
    """
    squares = points.square().sum(1)
    nearest = torch.full_like(squares, torch.inf)  # squared distance to the nearest point taken
    step = torch.empty_like(squares)
    latest = int(torch.randint(len(points), (1,), generator=generator))
    centres = [latest]
    while len(centres) < min(size, len(points)):
        torch.addmv(squares, points, points[latest], alpha=-2, out=step)
        torch.minimum(nearest, step.add_(squares[latest]), out=nearest)
        # Rounding must not let a point be taken twice.
        nearest[latest] = 0
        farthest = nearest.argmax()
        if nearest[farthest] <= 0:
            break
        latest = int(farthest)
        centres.append(latest)
        if len(centres) % PROGRESS_INTERVAL == 0:
            on_progress(len(centres))
    return torch.tensor(centres, device=points.device)
