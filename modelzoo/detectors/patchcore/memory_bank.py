"""The memory bank of patches of good parts, and nearest-neighbour search in it.

Shapes: M rows, Q queries, C features, K cells.
"""

from __future__ import annotations

from typing import Self

import torch

# Steps of k-means: the cells only decide where to look first, they need not be the best.
K_MEANS_STEPS = 10
# Distances in memory at once, 64 MB.
MAX_DISTANCES = 2**24


class MemoryBank:
    """Rows in cells, searched in the cells whose centres are nearest to the query.

    An inverted file (Jégou et al. 2011, "Product quantization for nearest neighbor search"). Looking in fewer than
    all cells may miss the nearest row and find another: a distance is never too small. With one cell it is exact.

    Attributes:
        rows: float32 [M,C], whole cells one after the other. Their values are those of half precision, in which they
            are stored.
        sizes: int64 [K], rows per cell.
        centres: float32 [K,C].
    """

    def __init__(self, rows: torch.Tensor, sizes: torch.Tensor, centres: torch.Tensor) -> None:
        self.rows = rows
        self.sizes = sizes
        self.centres = centres
        self._squares = rows.square().sum(1)

    @classmethod
    def exact(cls, rows: torch.Tensor) -> Self:
        """All rows [M,C] in one cell: an exhaustive search."""
        rows = rows.half().float()
        return cls(rows, torch.tensor([len(rows)]), rows.mean(0, keepdim=True))

    @classmethod
    def with_ivf(cls, rows: torch.Tensor, generator: torch.Generator) -> Self:
        """An inverted file: as many cells as cells have rows on average, by k-means (Lloyd's steps)."""
        rows = rows.half().float()
        k = max(1, round(len(rows) ** 0.5))
        centres = rows[torch.randperm(len(rows), generator=generator)[:k].to(rows.device)]
        for _ in range(K_MEANS_STEPS):
            membership = torch.nn.functional.one_hot(_nearest(rows, centres), k).T.to(rows.dtype)
            counts = membership.sum(1, keepdim=True)
            # A product instead of scattered additions: the same sum on every run, on a GPU too.
            centres = torch.where(counts > 0, membership @ rows / counts.clamp_min(1), centres)
        cells = _nearest(rows, centres)
        return cls(rows[cells.argsort(stable=True)], cells.bincount(minlength=k).cpu(), centres)

    def nearest(self, queries: torch.Tensor, probes: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances, float32 [Q], and indices of rows, int64 [Q], of queries float32 [Q,C].

        Args:
            probes: cells to look in.
        """
        chunk = max(1, MAX_DISTANCES // max(int(self.sizes.max()), len(self.centres)))
        parts = [self._search(part, probes) for part in queries.split(chunk)]
        indices = torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=queries.device)
        # Once more without the cancellation of |q|^2 - 2 q m + |m|^2.
        return torch.linalg.vector_norm(queries - self.rows[indices], dim=1), indices

    def reweighting_factor(self, queries: torch.Tensor, indices: torch.Tensor, neighbours: int) -> torch.Tensor:
        """How much to trust that a query is far from everything good, float32 [Q] below 1: PatchCore's equation 7.

        One minus the share of the nearest row's exp(distance) among those of its own `neighbours` nearest rows, itself
        one of them. It is larger where the nearest row is far from the others, that is, rarely seen.
        """
        around = torch.cdist(self.rows[indices], self.rows).topk(neighbours, dim=1, largest=False).indices
        distances = torch.linalg.vector_norm(queries[:, None] - self.rows[around], dim=2)
        nearest = torch.linalg.vector_norm(queries - self.rows[indices], dim=1)
        return 1 - torch.exp(nearest - distances.logsumexp(1))

    def to(self, device: str) -> None:
        """Move to a device; the sizes stay on the CPU, where they are read."""
        self.rows, self.centres = self.rows.to(device), self.centres.to(device)
        self._squares = self._squares.to(device)

    def _search(self, queries: torch.Tensor, probes: int) -> torch.Tensor:
        """Index of the nearest row, int64 [Q], among those of the `probes` nearest cells."""
        probes = min(probes, len(self.centres))
        cells = _squared(queries, self.centres).topk(probes, dim=1, largest=False).indices.flatten()
        # All questions to a cell together: one product each.
        order = cells.argsort(stable=True)
        query_of = order // probes
        counts = cells.bincount(minlength=len(self.centres)).tolist()
        nearest_distance, nearest_row = queries.new_empty(len(order)), torch.empty_like(order)
        done = first = 0
        for count, size in zip(counts, self.sizes.tolist(), strict=True):
            part, rows = slice(done, done + count), slice(first, first + size)
            if count and size:
                # |q - m|^2 less |q|^2, which does not change the order
                distances = torch.addmm(self._squares[rows], queries[query_of[part]], self.rows[rows].T, alpha=-2)
                nearest_distance[part], where = distances.min(1)
                nearest_row[part] = where + first
            else:
                nearest_distance[part] = torch.inf
            done, first = done + count, first + size
        position = torch.empty_like(order)
        position[order] = torch.arange(len(order), device=order.device)
        position = position.view(-1, probes)
        return nearest_row[position.gather(1, nearest_distance[position].argmin(1, keepdim=True))[:, 0]]


def _squared(queries: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """|q - p|^2 less |q|^2, float32 [Q,n]: enough to compare points."""
    return torch.addmm(points.square().sum(1), queries, points.T, alpha=-2)


def _nearest(queries: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return _squared(queries, points).argmin(1)
