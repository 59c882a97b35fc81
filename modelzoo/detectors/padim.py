"""PaDiM: one Gaussian per position over the features of a pretrained network.

Defard et al. 2021, "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization". Departures
from the paper, each for a reason: the moments are streamed, so that memory does not grow with the number of images;
the covariance is shrunk by Ledoit & Wolf's estimate and then lifted by a floor relative to the variance of the whole
image, instead of by a constant that suits one backbone only; a triangular whitening takes the place of the inverse;
and held-out scores of all training images come from the same moments in closed form.

Shapes: B images, P positions of the grid, C features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch.nn import functional

from modelzoo.detectors.backbones import LAYERS, Backbone
from modelzoo.detectors.base import Detector, ImageSource, Progress, resolve_device
from modelzoo.detectors.config import DetectorConfig, option
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.smoothing import Smoothing
from modelzoo.detectors.weights import BACKBONE_NAMES

# Positions that are factorised together: bounds the temporary matrices to some 10 MB each.
CHUNK = 256
# On a CPU larger batches make the backbone no faster, and their activations leave the cache.
CPU_BATCH = 4
# When all good images are alike their variance is 0; the floor must still be positive.
LEAST_FLOOR = 1e-6


@dataclass(frozen=True)
class PadimConfig(DetectorConfig):
    """Options of PaDiM."""

    backbone: str = option("resnet18", "pretrained network that describes the patches", choices=BACKBONE_NAMES)
    layers: tuple[str, ...] = option(LAYERS, "layers whose features are joined", choices=LAYERS)
    n_features: int = option(100, "features drawn at random from all channels of the layers", low=1, high=1792)
    patch_size: int = option(4, "side in pixels of one position of the grid (8 gives the 8x8 patches)", low=4, high=64)
    floor: float = option(0.5, "added to every variance, as a fraction of the mean variance", low=1e-4, high=100)
    held_out_block: int = option(16, "neighbouring images that are left out together for the held-out scores", low=1)


class Moments:
    """Streaming sums per position, enough for the mean, the covariance and Ledoit & Wolf's shrinkage.

    Args:
        shift: float32 [P,C], a point near the mean. It is subtracted from all data, which keeps float32 sums exact
            enough: what is summed is of the size of the deviations, not of the features.
    """

    def __init__(self, shift: torch.Tensor) -> None:
        positions, channels = shift.shape
        self.n = 0
        self.shift = shift
        self.sum = torch.zeros_like(shift)  # [P,C] of y, the shifted data
        self.products = shift.new_zeros(positions, channels, channels)  # [P,C,C] of y y^T
        self.squares = shift.new_zeros(positions, dtype=torch.float64)  # [P] of |y|^2
        self.cubes = torch.zeros_like(shift)  # [P,C] of |y|^2 y
        self.fourths = shift.new_zeros(positions, dtype=torch.float64)  # [P] of |y|^4

    def add(self, features: torch.Tensor) -> None:
        """Take in float32 [P,B,C]."""
        y = features - self.shift[:, None]
        norms = torch.linalg.vector_norm(y, dim=2).square()  # [P,B]
        self.n += y.shape[1]
        self.sum += y.sum(1)
        self.products.baddbmm_(y.transpose(1, 2), y)
        self.squares += norms.sum(1, dtype=torch.float64)
        self.cubes += torch.bmm(norms[:, None], y)[:, 0]
        self.fourths += norms.double().square().sum(1)

    @property
    def mean(self) -> torch.Tensor:
        """float32 [P,C]."""
        return self.shift + self.sum / self.n

    def scatter(self, positions: slice) -> torch.Tensor:
        """float32 [p,C,C], the sum of (x - mean)(x - mean)^T at some positions."""
        total = self.sum[positions]
        return self.products[positions] - total[:, :, None] * total[:, None, :] / self.n

    def variances(self) -> torch.Tensor:
        """float64 [P], the mean over the features of each position's variance (divided by n)."""
        channels = self.sum.shape[1]
        return (self.squares - self.sum.double().square().sum(1) / self.n).clamp_min(0) / (self.n * channels)

    def shrinkage(self) -> torch.Tensor:
        """float32 [P] in 0..1: Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
        matrices", the weight of the identity that minimises the expected squared error."""
        n, channels = self.n, self.sum.shape[1]
        mean = self.sum.double() / n
        mean_square = mean.square().sum(1)
        squared_norm = torch.empty_like(self.squares)  # |S|^2 (Frobenius)
        quadratic = torch.empty_like(self.squares)  # sum over the data of (mean . y)^2
        for positions in _chunks(len(mean)):
            squared_norm[positions] = (self.scatter(positions).double() / n).square().sum((1, 2))
            m = mean[positions]
            quadratic[positions] = torch.einsum("pi,pij,pj->p", m, self.products[positions].double(), m)
        # The sum of |y - mean|^4, expanded in the sums that were kept.
        fourths = self.fourths + 4 * quadratic + n * mean_square.square() + 2 * mean_square * self.squares
        fourths -= 4 * (mean * self.cubes).sum(1) + 4 * n * mean_square.square()
        beta = (fourths / n - squared_norm) / n
        delta = squared_norm - channels * self.variances().square()
        return torch.where(delta > 0, (beta / delta.clamp_min(1e-300)).clamp(0, 1), 1.0).float()


class Gaussians:
    """A Gaussian per position, ready to measure distances.

    The covariance is M = (1 - r) S + (r v + f) I, with the empirical covariance S, its shrinkage r, the position's
    own mean variance v and the common floor f. With M = U^T U the Mahalanobis distance of x is |(x - mean) U^-1|.
    U^-1 is kept times sqrt(f): its norm is then at most 1, so that half precision holds it well.

    Attributes:
        mean: float32 [P,C].
        whitening: float32 [P,C,C], upper triangular, sqrt(f) U^-1.
        floor: f, in the squared unit of the features.
    """

    def __init__(self, mean: torch.Tensor, whitening: torch.Tensor, floor: float) -> None:
        self.mean = mean
        self.whitening = whitening
        self.floor = floor

    @classmethod
    def estimate(cls, moments: Moments, floor: float, *, left_out: int = 0) -> Gaussians:
        """From moments; `floor` is a fraction of the mean variance over all positions.

        With `left_out` = b the scatter is divided by n - b: the matrix from which `block_maps` subtracts b images.
        """
        variances = moments.variances()
        lift = max(floor * float(variances.mean()), LEAST_FLOOR)
        shrinkage = moments.shrinkage()
        diagonal = shrinkage * variances.float() + lift
        whitening = torch.empty_like(moments.products)
        identity = torch.eye(whitening.shape[1], device=whitening.device)
        for positions in _chunks(len(whitening)):
            weight = (1 - shrinkage[positions]) / (moments.n - left_out)
            covariance = weight[:, None, None] * moments.scatter(positions)
            covariance += diagonal[positions, None, None] * identity
            factor = torch.linalg.cholesky(covariance, upper=True)
            inverse = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=True)
            whitening[positions] = inverse * lift**0.5
        return cls(moments.mean, whitening, lift)

    def compact(self) -> Gaussians:
        """Round the whitening to half precision, in place: what is stored is then what has been scored with."""
        for positions in _chunks(len(self.whitening)):
            self.whitening[positions] = self.whitening[positions].half()
        return self

    def whitened(self, features: torch.Tensor) -> torch.Tensor:
        """float32 [P,B,C]: sqrt(f) times the whitened deviations of features [P,B,C]."""
        return torch.bmm(features - self.mean[:, None], self.whitening)

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """Mahalanobis distances, float32 [B,P], of features [P,B,C]."""
        return torch.linalg.vector_norm(self.whitened(features), dim=2).T * self.floor**-0.5

    def to(self, device: str) -> None:
        """Move to a device."""
        self.mean, self.whitening = self.mean.to(device), self.whitening.to(device)


class LeftOut:
    """Distances of training images by the model that was never shown them, without fitting it.

    Removing the b images D = [x_1 - m, ..., x_b - m] of n from a scatter T leaves T - D Z D^T, and the images deviate
    from the new mean by D Z, where Z = I + 11^T / (n - b). With M = a T + c I and the Gram matrix G = D^T M^-1 D of
    the whitened deviations, Woodbury's identity gives the squared distances as the diagonal of Z G (I - a Z G)^-1 Z.
    The shrinkage and the floor stay those of all images; everything else is exact.
    """

    def __init__(self, moments: Moments, floor: float, block: int) -> None:
        self.n = moments.n
        self.block = block
        self.weight = ((1 - moments.shrinkage()) / (moments.n - block)).double()
        self.gaussians = Gaussians.estimate(moments, floor, left_out=block)

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """float32 [B,P] of features [P,B,C], all of them part of the moments, B at most the block."""
        whitened = self.gaussians.whitened(features)
        gram = torch.bmm(whitened, whitened.transpose(1, 2)).double() / self.gaussians.floor
        size = gram.shape[1]
        identity = torch.eye(size, dtype=torch.float64, device=gram.device)
        z = identity + 1 / (self.n - size)
        zg = z @ gram
        inner = identity - self.weight[:, None, None] * zg
        squared = (zg @ torch.linalg.solve(inner, z.expand_as(inner))).diagonal(dim1=1, dim2=2)
        return squared.clamp_min(0).sqrt().T.float()


class Padim(Detector):
    """PaDiM behind the common contract. The image score is the maximum of the smoothed distance map."""

    algorithm: ClassVar[str] = "padim"
    config_class: ClassVar[type[DetectorConfig]] = PadimConfig
    config: PadimConfig

    def __init__(self, config: PadimConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        height, width = config.image_size
        self.grid = (-(-height // config.patch_size), -(-width // config.patch_size))
        self._smoothing = Smoothing(self.grid, config.image_size, config.sigma)
        self._backbone: Backbone
        self._selection: torch.Tensor  # int64 [C], channels among those of all layers, ascending
        self._gaussians: Gaussians

    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        config, n = self.config, len(source)
        progress(0.0, "loading the backbone")
        self._backbone, weights = Backbone.pretrained(config.backbone, config.layers)
        self.backbone_info = weights.info()
        self.to(self.device)
        with torch.inference_mode():
            self._selection = self._draw_features()
            moments: Moments | None = None
            for batch in source.batches(config.batch_size):
                features = self._features(batch.to(self.device))
                moments = moments or Moments(features.mean(1))
                moments.add(features)
                progress(0.45 * moments.n / n, f"learning from image {moments.n} of {n}")
            if moments is None:
                raise DetectorError("The image source is empty.")
            progress(0.45, "estimating the held-out model")
            scores = self._held_out_scores(source, moments, progress)
            progress(0.95, "estimating the model")
            self._gaussians = Gaussians.estimate(moments, config.floor).compact()
        return scores

    def _held_out_scores(self, source: ImageSource, moments: Moments, progress: Progress) -> np.ndarray:
        # At least five parts, so that a small set is not halved to judge itself.
        block = min(self.config.held_out_block, max(1, moments.n // 5))
        left_out = LeftOut(moments, self.config.floor, block)
        scores: list[float] = []
        for batch in source.batches(block):
            distances = left_out.distances(self._features(batch.to(self.device)))
            scores += self._smooth(distances).amax((1, 2)).tolist()
            progress(0.5 + 0.45 * len(scores) / moments.n, f"scoring held-out image {len(scores)} of {moments.n}")
        return np.array(scores)

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        return self._smooth(self._gaussians.distances(self._features(images)))

    def _smooth(self, distances: torch.Tensor) -> torch.Tensor:
        """float32 [B,P] to smoothed maps [B,H,W]."""
        return self._smoothing(distances.reshape(-1, *self.grid))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """The selected features, float32 [P,B,C], of uint8 [B,3,H,W]."""
        parts = images.split(CPU_BATCH) if self.device == "cpu" else (images,)
        return torch.cat([self._described(part) for part in parts], dim=1)

    def _described(self, images: torch.Tensor) -> torch.Tensor:
        chosen, first = [], 0
        for features in self._backbone(images):
            channels = self._selection[(self._selection >= first) & (self._selection < first + features.shape[1])]
            chosen.append(_resampled(features[:, channels - first], self.grid))
            first += features.shape[1]
        return torch.cat(chosen, dim=1).flatten(2).permute(2, 0, 1)

    def _draw_features(self) -> torch.Tensor:
        blank = torch.zeros(1, 3, *self.config.image_size, dtype=torch.uint8, device=self.device)
        available = sum(features.shape[1] for features in self._backbone(blank))
        if self.config.n_features > available:
            raise DetectorError(
                f"n_features={self.config.n_features} is not valid: the layers {', '.join(self.config.layers)} of "
                f"this backbone have {available} channels."
            )
        generator = torch.Generator().manual_seed(self.config.seed)
        drawn = torch.randperm(available, generator=generator)[: self.config.n_features]
        return drawn.sort().values.to(self.device)

    def to(self, device: str) -> Self:
        self.device = resolve_device(device)
        self._smoothing.to(self.device)
        if hasattr(self, "_backbone"):
            self._backbone.to(self.device)
        if hasattr(self, "_gaussians"):
            self._selection = self._selection.to(self.device)
            self._gaussians.to(self.device)
        return self

    def _tensors(self) -> dict[str, torch.Tensor]:
        rows, columns = _triangle(self.config.n_features)
        return {
            **{f"backbone.{name}": tensor for name, tensor in self._backbone.state_dict().items()},
            "selection": self._selection,
            "mean": self._gaussians.mean,
            "whitening": self._gaussians.whitening[:, rows, columns].half(),
            "floor": torch.tensor(self._gaussians.floor, dtype=torch.float64),
        }

    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        if self.backbone_info is None:
            raise DetectorError("A PaDiM model must name its backbone.")
        prefix = "backbone."
        weights = {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
        self._backbone = Backbone.from_state(self.backbone_info["name"], self.config.layers, weights)
        positions, channels = self.grid[0] * self.grid[1], self.config.n_features
        rows, columns = _triangle(channels)
        self._selection, mean, packed = tensors["selection"], tensors["mean"], tensors["whitening"]
        if (len(self._selection), *mean.shape, *packed.shape) != (channels, positions, channels, positions, len(rows)):
            raise DetectorError("The tensors do not have the shapes that the options ask for.")
        whitening = torch.zeros(positions, channels, channels)
        whitening[:, rows, columns] = packed.float()
        self._gaussians = Gaussians(mean, whitening, float(tensors["floor"]))


def _resampled(features: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Features [B,C,h,w] on the grid: averaged where they are finer, repeated where they are coarser."""
    if tuple(features.shape[2:]) == grid:
        return features
    if features.shape[2] > grid[0]:
        return functional.adaptive_avg_pool2d(features, grid)
    return functional.interpolate(features, grid, mode="nearest")


def _triangle(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column indices of an upper triangle, row by row: how the whitening is packed."""
    rows, columns = torch.triu_indices(size, size)
    return rows, columns


def _chunks(positions: int) -> list[slice]:
    return [slice(first, first + CHUNK) for first in range(0, positions, CHUNK)]
