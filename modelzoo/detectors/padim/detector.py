"""PaDiM: one Gaussian per position over the features of a pretrained network.

Defard et al. 2021, "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization". Departures
from the paper, each for a reason: the moments are streamed, so that memory does not grow with the number of images;
the covariance is shrunk by Ledoit & Wolf's estimate and then lifted by a floor relative to the variance of the whole
image, instead of by a constant that suits one backbone only; all channels are projected where the paper draws some; a
triangular whitening takes the place of the inverse; held-out scores of all training images come from the same moments
in closed form; distances are divided by what is usual at their position (`usual_distances`); and more good images can
be taken in later, by a stored model too.

Shapes: B images, P positions of the grid that are judged, C features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
import torch

from modelzoo.detectors.base import ImageSource, Progress, no_progress
from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.detectors.feature_spool import FeatureSpool
from modelzoo.detectors.options import ORTHOGONAL, PCA, RANDOM, PadimConfig
from modelzoo.detectors.padim.gaussians import Gaussians, LeaveBlockOut, Moments, PartialFitState, UpperTriangular
from modelzoo.detectors.padim.reduction import (
    PrincipalComponents,
    Projection,
    Reduction,
    Selection,
    random_projection,
    random_selection,
)
from modelzoo.detectors.patch_detector import PatchDetector
from modelzoo.detectors.preprocessing.altered_copies import COPIES, SourceWithCopies
from modelzoo.detectors.smoothing import Size

# The learning curve is measured up to so many images: beyond, a few more change little, and the time would show.
MAX_CURVE_IMAGES = 100
# A model of fewer than this is off the curve that more images follow.
MIN_CURVE_IMAGES = 4
CURVE_BATCH = 8


class Padim(PatchDetector):
    """PaDiM behind the common contract. The image score is the maximum of the smoothed distance map."""

    algorithm: ClassVar[str] = "padim"
    config_class: ClassVar[type[PadimConfig]] = PadimConfig
    config: PadimConfig

    def __init__(self, config: PadimConfig, device: str = "cpu") -> None:
        super().__init__(config, device)
        self._reduction: Reduction
        self._gaussians: Gaussians

    @property
    def grid(self) -> Size:
        return self.config.grid(self.input_size)

    def partial_fit(self, source: ImageSource, *, progress: Progress = no_progress) -> Self:
        """Take in more good images, whether the model was just fitted or comes from an artifact.

        The moments are recovered from the model: the whitening has half precision, so distances differ from those of a
        model fitted on everything at once by some tenths of a percent; by more only where the first images were so few
        that their correlations were shrunk away. Reduction, usual distances, preprocessing and backbone do not change.
        The held-out scores so far stay (each is by a model that had not seen the image, and only had fewer others), and
        those of the new images, left out of the new model, are added.

        Args:
            source: good images that the model has not seen, prepared by this detector's `preprocessing`; at least one.
            progress: as in `fit`. An exception that it raises leaves the model as it was.

        Raises:
            TooFewImages: with no image.
            NotComparable: when an image cannot be prepared; the model is as it was, take that image out.
            DetectorError: when the detector is not fitted.
        """
        self._require_fitted()
        if len(source) == 0:
            raise TooFewImages("There is no new training image; the model did not change.")
        with torch.inference_mode():
            moments, scores = self._learn(self._gaussians.moments(), source, progress)
            gaussians = Gaussians.estimate(moments, self.config.floor).compact()
        self._gaussians = gaussians
        self._held_out = np.concatenate([self._held_out, scores.astype(np.float64)])
        self.n_train = moments.n
        progress(1.0, f"fitted on {len(source)} more good images, {moments.n} in all")
        return self

    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        self._load_backbone(progress)
        with torch.inference_mode():
            self._reduction = self._fit_reduction(source, progress)
            moments, scores = self._learn(None, source, progress, with_copies=len(source) < self.config.copies_below)
            self._gaussians = Gaussians.estimate(moments, self.config.floor).compact()
        return scores

    def _learn(
        self, moments: Moments | None, source: ImageSource, progress: Progress, *, with_copies: bool = False
    ) -> tuple[Moments, np.ndarray]:
        """The moments, or new ones, with all images taken in, and the held-out scores of these images, float [n].

        Images are decoded and described once: their features are on the disk until the model scores them.
        """
        is_new = moments is None
        images, group = source, 1
        if with_copies:
            images_with_copies = SourceWithCopies(source, self.config.seed, self.ignored)
            if images_with_copies.has_different_images:
                images, group = images_with_copies, 1 + COPIES
        with FeatureSpool() as spool:
            moments = self._accumulate(moments, images, spool, progress)
            moments.count_groups(group)
            progress(0.5, "estimating the held-out model")
            scores = self._held_out_scores(images, group, moments, spool, progress)
            measured = is_new and spool.complete and len(source) <= MAX_CURVE_IMAGES
            self.learning_curve = self._learning_curve(spool, group, scores) if measured else []
        progress(0.96, "estimating the model")
        return moments, scores

    def _accumulate(
        self, moments: Moments | None, source: ImageSource, spool: FeatureSpool, progress: Progress
    ) -> Moments:
        """Take all images in, and put their features into the spool."""
        for n_images, features in self._stream(source, self.batch_size):
            positions = self._by_position(features)
            moments = moments or Moments(positions.mean(1))
            moments.add(positions)
            spool.add(features.permute(0, 2, 3, 1))
            progress(0.2 + 0.3 * n_images / len(source), f"learning from image {n_images} of {len(source)}")
        if moments is None:
            raise DetectorError("The image source is empty.")
        return moments

    def _held_out_scores(
        self, source: ImageSource, group: int, moments: Moments, spool: FeatureSpool, progress: Progress
    ) -> np.ndarray:
        """Of the images of the source, all of them part of the moments: float [n].

        A new model learns what distances are usual; one that is extended keeps what it has, as its other scores do.

        Args:
            group: how many images of the source are one image and its copies.
        """
        n_source = len(source) // group
        block = self._block_size(moments.n)
        leave_block_out = LeaveBlockOut(moments, self.config.floor, block, group)
        usual = self._new_usual_distances() if moments.n == n_source else None

        def distances() -> Iterator[torch.Tensor]:
            for features in self._stream_again(source, spool, block * group):
                yield leave_block_out.distances(self._by_position(features))

        scores: list[float] = []
        with FeatureSpool() as distance_spool:
            if usual is not None:
                for part in distances():
                    usual.add(part)
                    distance_spool.add(part)
                    progress(0.5 + 0.4 * usual.n / n_source, f"held-out image {usual.n} of {n_source}")
                self._usual = usual.of_all()
            stored = usual is not None and distance_spool.complete
            for part in distance_spool.batches(block) if stored else distances():
                part = part.to(self.device)
                scores += (
                    self._smooth(part, usual.without_each(part) if usual is not None else None).amax((1, 2)).tolist()
                )
                n_scores = len(scores)
                progress(0.9 + 0.05 * n_scores / n_source, f"scoring held-out image {n_scores} of {n_source}")
        return np.array(scores)

    def _block_size(self, n: int) -> int:
        """How many of n images are left out together: at most a fifth, so that a small set is not halved."""
        return min(self.config.held_out_block, max(1, n // 5))

    def _learning_curve(self, spool: FeatureSpool, group: int, scores: np.ndarray) -> list[tuple[int, float]]:
        """Mean scores of one and the same half of the images: by models of half and of all of the other half, and held
        out from all. Drawn at random; only an average over the same images is as smooth as what it has to show."""
        n = len(scores)
        order = np.random.default_rng(self.config.seed).permutation(n)
        is_judged = np.isin(np.arange(n), order[n // 2 :])
        curve = []
        for size in (n // 4, n // 2):
            if size >= MIN_CURVE_IMAGES:
                is_learnt = np.isin(np.arange(n), order[:size])
                curve.append((size, self._mean_score(spool, group, is_learnt, is_judged)))
        return [*curve, (n - self._block_size(n), float(scores[is_judged].mean()))] if curve else []

    def _mean_score(self, spool: FeatureSpool, group: int, is_learnt: np.ndarray, is_judged: np.ndarray) -> float:
        """Of some images of the spool by a model of some others and their copies, each bool [n]."""
        moments: Moments | None = None
        for positions in self._positions_of(spool, is_learnt.repeat(group)):
            moments = moments or Moments(positions.mean(1))
            moments.add(positions)
        assert moments is not None
        moments.count_groups(group)
        gaussians = Gaussians.estimate(moments, self.config.floor)
        is_original = np.arange(group * len(is_judged)) % group == 0
        scores: list[float] = []
        for positions in self._positions_of(spool, is_judged.repeat(group) & is_original):
            scores += self._smooth(gaussians.distances(positions)).amax((1, 2)).tolist()
        return float(np.mean(scores))

    def _positions_of(self, spool: FeatureSpool, chosen: np.ndarray) -> Iterator[torch.Tensor]:
        """Features [P,b,C] of the images of the spool that are chosen, bool [n], a few at a time."""
        first = 0
        for rows in spool.batches(CURVE_BATCH):
            inside = torch.from_numpy(chosen[first : first + len(rows)])
            first += len(rows)
            if inside.any():
                yield self._by_position(rows[inside].to(self.device).permute(0, 3, 1, 2))

    def _stream_again(self, source: ImageSource, spool: FeatureSpool, size: int) -> Iterator[torch.Tensor]:
        """Features of all images once more, [b,C,h,w], from the spool if it holds them."""
        if spool.complete:
            for rows in spool.batches(size):
                yield rows.to(self.device).permute(0, 3, 1, 2)
        else:
            for _, features in self._stream(source, size):
                yield features

    def _maps_from_features(self, features: torch.Tensor) -> torch.Tensor:
        return self._smooth(self._gaussians.distances(self._by_position(features)))

    def portable_maps(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        layers = self._portable_layers(images, precision)
        return self._maps_from_features(self._reduction.convolve(layers, self.grid))

    def _by_position(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B,C,h,w] as [P,B,C]."""
        return self._patches(features).transpose(0, 1)

    def _describe_patches(self, layers: list[torch.Tensor]) -> torch.Tensor:
        return self._reduction(layers, self.grid)

    def _fit_reduction(self, source: ImageSource, progress: Progress) -> Reduction:
        config, available = self.config, self._channels()
        if config.n_features > available:
            raise DetectorError(
                f"n_features={config.n_features} is not valid: the layers {', '.join(config.layers)} of "
                f"this backbone have {available} channels."
            )
        if config.reduction == PCA:
            components = PrincipalComponents()
            n_images = 0
            for batch in source.batches(self.batch_size):
                for layers in self._layers(batch.to(self.device), self._network):
                    components.add(layers, self.grid)
                n_images += len(batch)
                progress(0.2 * n_images / len(source), f"principal components: image {n_images} of {len(source)}")
            return components.projection(config.n_features)
        draw = random_projection if config.reduction == ORTHOGONAL else random_selection
        return draw(available, config.n_features, config.seed).to(self.device)

    def _move_model(self) -> None:
        self._reduction.to(self.device)
        self._gaussians.to(self.device)

    def _tensors(self) -> dict[str, torch.Tensor]:
        gaussians = self._gaussians
        return {
            **self._shared_tensors(),
            "reduction": self._reduction.tensor,
            "mean": gaussians.mean,
            "whitening": gaussians.whitening.pack(),
            "floor": torch.tensor(gaussians.floor, dtype=torch.float64),
            **vars(gaussians.partial_state),
        }

    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self._restore_shared(tensors)
        positions, channels = self.n_patches, self.config.n_features
        reduction, mean, packed = tensors["reduction"], tensors["mean"], tensors["whitening"]
        shapes = (reduction.shape[-1], *mean.shape, *packed.shape)
        if shapes != (channels, positions, channels, positions, channels * (channels + 1) // 2):
            raise DetectorError("The tensors do not have the shapes that the options ask for.")
        is_selection = self.config.reduction == RANDOM
        if not is_selection and len(reduction) != self._channels():
            raise DetectorError("The tensors do not have the shapes that the options ask for.")
        self._reduction = Selection(reduction) if is_selection else Projection(reduction)
        whitening = UpperTriangular.unpack(packed, channels)
        partial_state = PartialFitState(**{name: tensors[name] for name in PartialFitState.__dataclass_fields__})
        self._gaussians = Gaussians(self.n_train, mean, whitening, float(tensors["floor"]), partial_state)
