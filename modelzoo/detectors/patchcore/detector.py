"""PatchCore: how far each patch lies from the nearest patch of any good part.

Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection". A patch may be compared with patches from
anywhere in the image, so that parts need not lie still. Departures from the paper, each for a reason: the coreset is
chosen among at most `memory_limit` patches, as many from every image, so that neither memory nor time explodes with
the number of images; distances are divided by what is usual at their position, without which the border of the image
decides (`usual_distances`); the re-weighting, where it is asked for, scales the whole map, so that the score remains
its maximum; and held-out scores come from memories that are chosen anew without the images that they judge.

Shapes: B images, P patches that are judged, C features, L candidates, M rows of the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional

from modelzoo.detectors.backbones.networks import STRIDES
from modelzoo.detectors.base import ImageSource, Progress
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.feature_spool import FeatureSpool
from modelzoo.detectors.options import PatchCoreConfig
from modelzoo.detectors.patch_detector import PatchDetector
from modelzoo.detectors.patchcore.coreset import project, select_coreset
from modelzoo.detectors.patchcore.memory_bank import MemoryBank
from modelzoo.detectors.smoothing import Size
from modelzoo.detectors.usual_distances import UsualDistances


class PatchCore(PatchDetector):
    """PatchCore behind the common contract. The image score is the maximum of the smoothed, re-weighted map."""

    algorithm: ClassVar[str] = "patchcore"
    config_class: ClassVar[type[PatchCoreConfig]] = PatchCoreConfig
    config: PatchCoreConfig

    def __init__(self, config: PatchCoreConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._memory_bank: MemoryBank

    @property
    def grid(self) -> Size:
        """That of the finest layer."""
        stride = min(STRIDES[layer] for layer in self.config.layers)
        height, width = self.input_size
        return -(-height // stride), -(-width // stride)

    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        self._load_backbone(progress)
        with torch.inference_mode():
            candidates, images = self._candidates(source, progress)
            generator = torch.Generator().manual_seed(self.config.seed)
            points = project(candidates, self.config.projection, generator)
            n, folds = len(source), min(self.config.folds, len(source))
            bounds = [n * fold // folds for fold in range(folds + 1)]
            held_out: list[tuple[range, MemoryBank]] = []
            for fold, (first, end) in enumerate(pairwise(bounds)):
                step = _PartProgress(
                    progress, 0.2 + 0.5 / folds * fold, 0.5 / folds, f"held-out part {fold + 1} of {folds}"
                )
                indices = ((images < first) | (images >= end)).nonzero()[:, 0]
                memory_bank = self._build_memory_bank(candidates, points, indices, generator, step)
                held_out.append((range(first, end), memory_bank))
            scores = self._held_out_scores(source, held_out, progress)
            everything = torch.arange(len(candidates), device=candidates.device)
            step = _PartProgress(progress, 0.85, 0.15, "all images")
            self._memory_bank = self._build_memory_bank(candidates, points, everything, generator, step)
        return scores

    def _held_out_scores(
        self, source: ImageSource, held_out: list[tuple[range, MemoryBank]], progress: Progress
    ) -> np.ndarray:
        """Of all images, float [n], each part of them by the memory bank that was chosen without it."""
        usual = self._new_usual_distances()
        with FeatureSpool() as spool:
            if usual is not None:
                for patch_features, memory_bank in self._held_out_patches(source, held_out):
                    distances, _ = self._nearest(patch_features, memory_bank)
                    usual.add(distances)
                    spool.add(distances)
                    progress(0.7 + 0.1 * usual.n / len(source), f"comparing held-out image {usual.n} of {len(source)}")
                self._usual = usual.of_all()
            scores: list[float] = []
            for maps in self._held_out_maps(source, held_out, usual, spool):
                scores += maps.amax((1, 2)).tolist()
                n_scores = len(scores)
                progress(0.8 + 0.05 * n_scores / len(source), f"scoring held-out image {n_scores} of {len(source)}")
        return np.array(scores)

    def _held_out_patches(
        self, source: ImageSource, held_out: list[tuple[range, MemoryBank]]
    ) -> Iterator[tuple[torch.Tensor, MemoryBank]]:
        """Descriptions [B,P,C] of all images, and the memory bank that has not seen them."""
        for indices, memory_bank in held_out:
            for _, features in self._stream(source, self.batch_size, indices):
                yield self._patches(features).contiguous(), memory_bank

    def _held_out_maps(
        self,
        source: ImageSource,
        held_out: list[tuple[range, MemoryBank]],
        usual: UsualDistances | None,
        spool: FeatureSpool,
    ) -> Iterator[torch.Tensor]:
        """Maps of all images, [B,H,W]. The re-weighting looks at patches once more, which are then described again."""
        if usual is not None and spool.complete and self.config.neighbours == 1:
            for distances in spool.batches(self.config.batch_size):
                distances = distances.to(self.device)
                yield self._smooth(distances, usual.without_each(distances))
            return
        for patch_features, memory_bank in self._held_out_patches(source, held_out):
            distances, nearest = self._nearest(patch_features, memory_bank)
            without = usual.without_each(distances) if usual is not None else None
            yield self._maps_of(patch_features, distances, nearest, memory_bank, without)

    def _candidates(self, source: ImageSource, progress: Progress) -> tuple[torch.Tensor, torch.Tensor]:
        """Patches, float16 [L,C], drawn from the images, and the index of the image of each, int64 [L]."""
        n, patches = len(source), self.n_patches
        limit = min(self.config.memory_limit, n * patches)
        generator = torch.Generator().manual_seed(self.config.seed)
        rows: list[torch.Tensor] = []
        images: list[torch.Tensor] = []
        index = 0
        for n_images, features in self._stream(source, self.batch_size):
            for patch_features in self._patches(features).contiguous():
                quota = limit * (index + 1) // n - limit * index // n
                sample = torch.randperm(patches, generator=generator)[:quota].to(self.device)
                rows.append(patch_features[sample].half())
                images.append(torch.full((quota,), index, device=self.device))
                index += 1
            progress(0.2 * n_images / n, f"describing image {n_images} of {n}")
        return torch.cat(rows), torch.cat(images)

    def _build_memory_bank(
        self,
        candidates: torch.Tensor,
        points: torch.Tensor,
        indices: torch.Tensor,
        generator: torch.Generator,
        step: _PartProgress,
    ) -> MemoryBank:
        """The memory bank of some candidates [L,C], `indices` int64 [l], chosen by their projections [L,d]."""
        config = self.config
        size = max(1, round(config.coreset * len(indices)))
        coreset = select_coreset(
            config.sampling, points[indices], size, generator, lambda done: step(0.8 * done / size)
        )
        rows = candidates[indices[coreset]].float()
        memory_bank = MemoryBank.with_ivf(rows, generator) if config.probes else MemoryBank.exact(rows)
        step(0.8)
        return memory_bank

    def _nearest(self, patch_features: torch.Tensor, memory_bank: MemoryBank) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances, float32 [B,P], of patches [B,P,C] from the nearest rows, and these rows' indices, int64 [B,P]."""
        distances, indices = memory_bank.nearest(patch_features.flatten(0, 1), max(1, self.config.probes))
        shape = patch_features.shape[:2]
        return distances.reshape(shape), indices.reshape(shape)

    def _maps_of(
        self,
        patch_features: torch.Tensor,
        distances: torch.Tensor,
        nearest: torch.Tensor,
        memory_bank: MemoryBank,
        usual: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Smoothed, re-weighted maps, float32 [B,H,W], of what `_nearest` found."""
        neighbours = min(self.config.neighbours, len(memory_bank.rows))
        if neighbours > 1 and len(distances):
            worst = self._relative(distances, usual).argmax(1)
            image = torch.arange(len(distances), device=worst.device)
            factor = memory_bank.reweighting_factor(patch_features[image, worst], nearest[image, worst], neighbours)
            distances = distances * factor[:, None]
        return self._smooth(distances, usual)

    def _maps_from_features(self, features: torch.Tensor) -> torch.Tensor:
        patch_features = self._patches(features).contiguous()
        distances, nearest = self._nearest(patch_features, self._memory_bank)
        return self._maps_of(patch_features, distances, nearest, self._memory_bank)

    def portable_maps(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        """Differs from the detector where its search in cells misses the nearest row: here all of them are searched.

        A distance is then smaller, by as much as the search in cells has missed.
        """
        patch_features = self._patches(self._describe_patches(self._portable_layers(images, precision)))
        rows = self._memory_bank.rows
        squares = rows.square().sum(1)
        nearest = (squares - 2 * patch_features @ rows.T).argmin(
            2
        )  # [B,P]; |q - m|^2 less |q|^2 does not change the order
        distances = torch.linalg.vector_norm(patch_features - rows[nearest], dim=2)
        neighbours = min(self.config.neighbours, len(rows))
        if neighbours > 1:
            worst = self._relative(distances).argmax(1, keepdim=True)
            query = patch_features.gather(1, worst[:, :, None].expand(-1, -1, patch_features.shape[2]))  # [B,1,C]
            nearest_row = rows[nearest.gather(1, worst)]
            around = (squares - 2 * (nearest_row @ rows.T)[:, 0]).topk(neighbours, dim=1, largest=False).indices
            spread = torch.linalg.vector_norm(query - rows[around], dim=2).logsumexp(1)
            reweighting_factor = 1 - torch.exp(torch.linalg.vector_norm(query - nearest_row, dim=2)[:, 0] - spread)
            distances = distances * reweighting_factor[:, None]
        return self._smooth(distances)

    def _describe_patches(self, layers: list[torch.Tensor]) -> torch.Tensor:
        side = self.config.neighbourhood
        joined = []
        for features in layers:
            # Beyond the border there is nothing to average, rather than zeros.
            pooled = functional.avg_pool2d(features.float(), side, 1, side // 2, count_include_pad=False)
            if tuple(pooled.shape[2:]) != self.grid:
                pooled = functional.interpolate(pooled, self.grid, mode="bilinear", align_corners=False)
            joined.append(pooled)
        return torch.cat(joined, dim=1)

    def _move_model(self) -> None:
        self._memory_bank.to(self.device)

    def _tensors(self) -> dict[str, torch.Tensor]:
        memory_bank = self._memory_bank
        return {
            **self._shared_tensors(),
            "memory": memory_bank.rows.half(),
            "sizes": memory_bank.sizes,
            "centres": memory_bank.centres,
        }

    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self._restore_shared(tensors)
        rows, sizes, centres = tensors["memory"], tensors["sizes"], tensors["centres"]
        if rows.shape[1:] != (self._channels(),) or len(sizes) != len(centres) or int(sizes.sum()) != len(rows):
            raise DetectorError("The tensors do not have the shapes that the options ask for.")
        self._memory_bank = MemoryBank(rows.float(), sizes, centres)


class _PartProgress:
    """Reports the progress of one part of the work, which takes `share` of the whole from `start` on."""

    def __init__(self, progress: Progress, start: float, share: float, name: str) -> None:
        self.progress = progress
        self.start = start
        self.share = share
        self.name = name

    def __call__(self, fraction: float) -> None:
        self.progress(self.start + self.share * fraction, f"choosing what to remember: {self.name}")
