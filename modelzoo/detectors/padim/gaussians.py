"""Gaussians per position, from streamed moments: estimation, distances, leave-block-out distances, partial fit.

Shapes: B images, P positions of the grid, C features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

# Positions that are factorised together: bounds the temporary matrices to some 10 MB each.
CHUNK_SIZE = 256
ALL_POSITIONS = slice(None)
# When all good images are alike their variance is 0; the floor must still be positive.
MIN_FLOOR = 1e-6
# Beyond this shrinkage the rounding of the whitening, divided by what is left, would be larger than the covariance.
MAX_SHRINKAGE = 0.99


class Moments:
    """Streaming sums per position, enough for the mean, the covariance and Ledoit & Wolf's shrinkage.

    Args:
        shift: float32 [P,C], a point near the mean. It is subtracted from all data, which keeps float32 sums exact
            enough: what is summed is of the size of the deviations, not of the features.
    """

    def __init__(self, shift: torch.Tensor) -> None:
        positions, channels = shift.shape
        self.n = 0
        self.group = 1  # what was taken in for each of the n images: itself and its copies
        self.shift = shift
        self.sum = torch.zeros_like(shift)  # [P,C] of y, the shifted data
        self.products = UpperTriangular.zeros(positions, channels, shift.device)  # [P,C,C] of y y^T, their upper halves
        self.squares = shift.new_zeros(positions, dtype=torch.float64)  # [P] of |y|^2
        self.cubes = torch.zeros_like(shift)  # [P,C] of |y|^2 y
        self.fourths = shift.new_zeros(positions, dtype=torch.float64)  # [P] of |y|^4

    def add(self, features: torch.Tensor) -> None:
        """Take in float32 [P,B,C]."""
        y = features - self.shift[:, None]
        norms = torch.linalg.vector_norm(y, dim=2).square()  # [P,B]
        self.n += y.shape[1]
        self.sum += y.sum(1)
        self.products.add_squares(y)
        self.squares += norms.sum(1, dtype=torch.float64)
        self.cubes += torch.bmm(norms[:, None], y)[:, 0]
        self.fourths += norms.double().square().sum(1)

    def count_groups(self, size: int) -> None:
        """Let each `size` of what was taken in, an image and its copies, be one of n images.

        The shrinkage still takes copies for observations of their own. With one observation an image it would shrink
        away what the copies say: that cost 3 points of AUROC on five screws.
        """
        self.n //= size
        self.group = size
        self.sum /= size
        self.products.scale(1 / size)
        self.squares /= size
        self.cubes /= size
        self.fourths /= size

    @property
    def mean(self) -> torch.Tensor:
        """float32 [P,C]."""
        return self.shift + self.sum / self.n

    def central_cubes(self) -> torch.Tensor:
        """float32 [P,C], the sum of |x - mean|^2 (x - mean)."""
        mean = self.sum / self.n
        rotated = torch.empty_like(mean)
        for positions in _chunks(len(mean)):
            rotated[positions] = torch.bmm(self.products.symmetric(positions), mean[positions, :, None])[:, :, 0]
        return self.cubes - 2 * rotated + (2 * self.n * mean.square().sum(1) - self.squares.float())[:, None] * mean

    def central_fourths(self) -> torch.Tensor:
        """float64 [P], the sum of |x - mean|^4."""
        n, mean = self.n, self.sum.double() / self.n
        mean_square = mean.square().sum(1)
        quadratic = torch.empty_like(self.squares)  # sum over the data of (mean . y)^2
        for positions in _chunks(len(mean)):
            m = mean[positions]
            quadratic[positions] = torch.einsum("pi,pij,pj->p", m, self.products.symmetric(positions).double(), m)
        fourths = self.fourths + 4 * quadratic + n * mean_square.square() + 2 * mean_square * self.squares
        return fourths - 4 * (mean * self.cubes).sum(1) - 4 * n * mean_square.square()

    def scatter(self, positions: slice) -> torch.Tensor:
        """float32 [p,C,C], the sum of (x - mean)(x - mean)^T at some positions."""
        total = self.sum[positions]
        return self.products.symmetric(positions) - total[:, :, None] * total[:, None, :] / self.n

    def variances(self) -> torch.Tensor:
        """float64 [P], the mean over the features of each position's variance (divided by n)."""
        channels = self.sum.shape[1]
        return (self.squares - self.sum.double().square().sum(1) / self.n).clamp_min(0) / (self.n * channels)

    def shrinkage(self) -> torch.Tensor:
        """float32 [P] in 0..1: Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
        matrices", the weight of the identity that minimises the expected squared error."""
        n, channels = self.n, self.sum.shape[1]
        squared_norm = torch.empty_like(self.squares)  # |S|^2 (Frobenius)
        for positions in _chunks(len(squared_norm)):
            squared_norm[positions] = (self.scatter(positions).double() / n).square().sum((1, 2))
        beta = (self.central_fourths() / n - squared_norm) / (n * self.group)
        delta = squared_norm - channels * self.variances().square()
        return torch.where(delta > 0, (beta / delta.clamp_min(1e-300)).clamp(0, 1), 1.0).float()


@dataclass(frozen=True)
class PartialFitState:
    """What the mean and the whitening do not hold: with it, more images can be added later.

    Attributes:
        variances: float64 [P], see `Moments.variances`.
        shrinkage: float32 [P], see `Moments.shrinkage`.
        cubes: float16 [P,C], the sum of |x - mean|^2 (x - mean) in units of n variance^1.5. Only the next shrinkage
            reads them, so half precision is plenty.
        fourths: float64 [P], the sum of |x - mean|^4.
    """

    variances: torch.Tensor
    shrinkage: torch.Tensor
    cubes: torch.Tensor
    fourths: torch.Tensor

    @classmethod
    def of(cls, moments: Moments) -> PartialFitState:
        """From the moments."""
        variances = moments.variances()
        cubes = moments.central_cubes() / _cubic_unit(moments.n, variances)
        return cls(variances, moments.shrinkage(), cubes.half(), moments.central_fourths())

    def to(self, device: str) -> PartialFitState:
        """A copy on another device."""
        return PartialFitState(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class UpperTriangular:
    """Upper triangular matrices [P,C,C], each kept as four blocks of columns without the rows that are 0 in all of
    them: five eighths of the numbers, and reading them is what a single image waits for.

    Attributes:
        blocks: float32 [P,end-start,end] of the columns start to end, each column one row of memory: a product with
            one vector then reads them in order.
    """

    def __init__(self, blocks: list[torch.Tensor]) -> None:
        self.blocks = blocks

    @classmethod
    def empty(cls, positions: int, channels: int, device: torch.device | str = "cpu") -> UpperTriangular:
        """Memory for as many matrices, its values not set."""
        cuts = _column_cuts(channels)
        return cls([torch.empty(positions, end - start, end, device=device) for start, end in cuts])

    @classmethod
    def zeros(cls, positions: int, channels: int, device: torch.device | str = "cpu") -> UpperTriangular:
        """As many matrices of zeros."""
        result = cls.empty(positions, channels, device)
        for block in result.blocks:
            block.zero_()
        return result

    @property
    def channels(self) -> int:
        return self.blocks[-1].shape[2]

    def put(self, positions: slice, matrices: torch.Tensor) -> None:
        """Set some of them to float32 [p,C,C]."""
        for block, (start, end) in zip(self.blocks, _column_cuts(self.channels), strict=True):
            block[positions] = matrices[:, :end, start:end].transpose(1, 2)

    def get(self, positions: slice) -> torch.Tensor:
        """Some of them, float32 [p,C,C]."""
        channels = self.channels
        matrices = self.blocks[-1].new_zeros(len(self.blocks[-1][positions]), channels, channels)
        for block, (start, end) in zip(self.blocks, _column_cuts(channels), strict=True):
            matrices[:, :end, start:end] = block[positions].transpose(1, 2)
        return matrices

    def symmetric(self, positions: slice) -> torch.Tensor:
        """The symmetric matrices that some of them are the upper halves of, float32 [p,C,C]."""
        upper = self.get(positions).triu()
        return upper + upper.triu(1).transpose(1, 2)

    def scale(self, factor: float) -> None:
        """Multiply all of them."""
        for block in self.blocks:
            block *= factor

    def add_squares(self, rows: torch.Tensor) -> None:
        """Add the upper halves of rows^T rows, of float32 [P,B,C]."""
        columns = rows.transpose(1, 2)
        for block, (start, end) in zip(self.blocks, _column_cuts(self.channels), strict=True):
            block.baddbmm_(columns[:, start:end], rows[:, :, :end])

    def products(self, rows: torch.Tensor, positions: slice = ALL_POSITIONS) -> Iterator[torch.Tensor]:
        """rows, float32 [p,B,C], times the matrices of these positions: columns of the result, [p,c,B], in blocks."""
        vectors = rows.transpose(1, 2)
        for block in self.blocks:
            yield torch.bmm(block[positions], vectors[:, : block.shape[2]])

    def round_to_half(self) -> None:
        """Keep float32, but only values that half precision has."""
        for block in self.blocks:
            block.copy_(block.half())

    def pack(self) -> torch.Tensor:
        """float16 [P,C(C+1)/2]: each triangle row by row."""
        rows, columns = _triangle(self.channels)
        return torch.cat([self.get(part)[:, rows, columns].half() for part in _chunks(len(self.blocks[-1]))])

    @classmethod
    def unpack(cls, packed: torch.Tensor, channels: int) -> UpperTriangular:
        """The inverse of `pack`."""
        result = cls.empty(len(packed), channels)
        rows, columns = _triangle(channels)
        for part in _chunks(len(packed)):
            matrices = torch.zeros(len(packed[part]), channels, channels)
            matrices[:, rows, columns] = packed[part].float()
            result.put(part, matrices)
        return result

    def to(self, device: str) -> UpperTriangular:
        """On another device."""
        return UpperTriangular([block.to(device) for block in self.blocks])


class Gaussians:
    """A Gaussian per position, ready to measure distances.

    The covariance is M = (1 - r) S + (r v + f) I, with the empirical covariance S, its shrinkage r, the position's
    own mean variance v and the common floor f. With M = U^T U the Mahalanobis distance of x is |(x - mean) U^-1|.
    U^-1 is kept times sqrt(f): its norm is then at most 1, so that half precision holds it well.

    Attributes:
        n: number of images behind it.
        mean: float32 [P,C].
        whitening: sqrt(f) U^-1.
        floor: f, in the squared unit of the features.
        rest: what else is needed to go on from here.
    """

    def __init__(
        self, n: int, mean: torch.Tensor, whitening: UpperTriangular, floor: float, partial_state: PartialFitState
    ) -> None:
        self.n = n
        self.mean = mean
        self.whitening = whitening
        self.floor = floor
        self.partial_state = partial_state

    @classmethod
    def estimate(cls, moments: Moments, floor: float, *, n_left_out: int = 0) -> Gaussians:
        """From moments; `floor` is a fraction of the mean variance over all positions.

        With `n_left_out` = b the scatter is divided by n - b: the matrix from which `LeaveBlockOut` subtracts b images.
        """
        partial_state = PartialFitState.of(moments)
        lift = max(floor * float(partial_state.variances.mean()), MIN_FLOOR)
        diagonal = partial_state.shrinkage * partial_state.variances.float() + lift
        count, channels = moments.sum.shape
        whitening = UpperTriangular.empty(count, channels, moments.sum.device)
        identity = torch.eye(channels, device=moments.sum.device)
        for positions in _chunks(count):
            weight = (1 - partial_state.shrinkage[positions]) / (moments.n - n_left_out)
            covariance = weight[:, None, None] * moments.scatter(positions)
            covariance += diagonal[positions, None, None] * identity
            factor = torch.linalg.cholesky(covariance, upper=True)
            inverse = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=True)
            whitening.put(positions, inverse * lift**0.5)
        return cls(moments.n, moments.mean, whitening, lift, partial_state)

    def moments(self) -> Moments:
        """The moments that this was estimated from, about the mean, as far as half precision holds them.

        S is M less what was added to it, divided by 1 - r. Where nearly all of S was shrunk away it cannot be
        recovered, and S = v I, which the shrinkage took for the best estimate, replaces it.
        """
        partial_state, channels = self.partial_state, self.mean.shape[1]
        moments = Moments(self.mean)
        moments.n = self.n
        moments.squares += self.n * channels * partial_state.variances
        moments.cubes += partial_state.cubes.float() * _cubic_unit(self.n, partial_state.variances)
        moments.fourths += partial_state.fourths
        variances = partial_state.variances.float()
        inverse_weight = torch.where(
            partial_state.shrinkage < MAX_SHRINKAGE, 1 / (1 - partial_state.shrinkage).clamp_min(1e-6), 0.0
        )
        identity = torch.eye(channels, device=self.mean.device)
        for positions in _chunks(len(self.mean)):
            whitening = self.whitening.get(positions)
            factor = torch.linalg.solve_triangular(
                whitening, self.floor**0.5 * identity.expand_as(whitening), upper=True
            )
            spherical = variances[positions, None, None] * identity
            shape = torch.bmm(factor.transpose(1, 2), factor) - self.floor * identity - spherical
            moments.products.put(positions, self.n * (spherical + inverse_weight[positions, None, None] * shape))
        return moments

    def compact(self) -> Gaussians:
        """Round the whitening to half precision, in place: what is stored is then what has been scored with."""
        self.whitening.round_to_half()
        return self

    def whiten(self, features: torch.Tensor, positions: slice = ALL_POSITIONS) -> torch.Tensor:
        """float32 [p,B,C]: sqrt(f) times the whitened deviations of features [P,B,C] at these positions."""
        deviations = features[positions] - self.mean[positions, None]
        return torch.cat(list(self.whitening.products(deviations, positions)), dim=1).transpose(1, 2)

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """Mahalanobis distances, float32 [B,P], of features [P,B,C]."""
        squared = features.new_zeros(features.shape[:2])
        for product in self.whitening.products(features - self.mean[:, None]):
            squared += product.square().sum(1)
        return squared.T.sqrt() * self.floor**-0.5

    def to(self, device: str) -> None:
        """Move to a device."""
        self.mean, self.whitening, self.partial_state = (
            self.mean.to(device),
            self.whitening.to(device),
            self.partial_state.to(device),
        )


class LeaveBlockOut:
    """Distances of training images by the model that was fitted without them, in closed form.

    Removing k columns D = [x_1 - m, ..., x_k - m], each of weight w, from a scatter T of weight n leaves T - w D Z D^T,
    and they deviate from the new mean by D Z, where Z = I + w 11^T / (n - w k). With M = a T + c I and the Gram matrix
    G = D^T M^-1 D of the whitened deviations, Woodbury's identity gives the squared distances as the diagonal of
    Z G (I - a w Z G)^-1 Z. The shrinkage and the floor stay those of all images; everything else is exact.

    Args:
        block: images that are left out together.
        group: columns for each image, itself and its copies, with the weight 1 / group each (`Moments.count_groups`).
    """

    def __init__(self, moments: Moments, floor: float, block: int, group: int = 1) -> None:
        self.n = moments.n
        self.group = group
        self.gaussians = Gaussians.estimate(moments, floor, n_left_out=block)
        self.weight = ((1 - self.gaussians.partial_state.shrinkage) / (moments.n - block)).double()

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """float32 [B,P] of features [P,B group,C], all of them part of the moments, B at most the block: those of the
        images; their copies are left out with them."""
        size = features.shape[1]
        identity = torch.eye(size, dtype=torch.float64, device=features.device)
        z = identity + 1 / (self.group * (self.n - size // self.group))
        squared = features.new_empty((len(features), size // self.group), dtype=torch.float64)
        for part in _chunks(len(features)):
            whitened = self.gaussians.whiten(features, part)
            gram = torch.bmm(whitened, whitened.transpose(1, 2)).double() / self.gaussians.floor
            zg = z @ gram
            inner = identity - self.weight[part, None, None] / self.group * zg
            solution = zg @ torch.linalg.solve(inner, z.expand_as(inner))
            squared[part] = solution.diagonal(dim1=1, dim2=2)[:, :: self.group]
        return squared.clamp_min(0).sqrt().T.float()


def _column_cuts(channels: int) -> list[tuple[int, int]]:
    """Up to four runs of columns, first and end."""
    bounds = [channels * part // 4 for part in range(5)]
    return [(start, end) for start, end in pairwise(bounds) if end > start]


def _triangle(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column indices of an upper triangle, row by row."""
    rows, columns = torch.triu_indices(size, size)
    return rows, columns


def _chunks(positions: int) -> list[slice]:
    return [slice(first, first + CHUNK_SIZE) for first in range(0, positions, CHUNK_SIZE)]


def _cubic_unit(n: int, variances: torch.Tensor) -> torch.Tensor:
    """float32 [P,1], never 0: the unit in which `PartialFitState` keeps the cubes."""
    return (n * variances.clamp_min(1e-12) ** 1.5).float()[:, None]
