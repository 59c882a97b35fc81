"""The contract that every detector fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from common.pixels.sixteen_bit import Window, is_sixteen_bit
from modelzoo.detectors.config import DetectorConfig
from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.detectors.options import DEVICES
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from modelzoo.detectors.preprocessing.input_check import (
    INPUT_CHECK_PREFIX,
    Finding,
    InputProfile,
    exemplars,
    raise_if_refused,
)
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import DecodedImages, PreparedImage, Preprocessing
from modelzoo.detectors.tensor_names import PREPROCESSING_PREFIX, REFERENCE_IMAGES

Progress = Callable[[float, str], None]
"""Gets the fraction done (0 to 1) and what is being done. It may raise `TrainingCancelled` to stop the fit."""

MapFunction = Callable[[torch.Tensor], torch.Tensor]
"""uint8 [B,3,H,W] on the detector's device to smoothed anomaly maps, float32 [B,H,W], there too."""

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16)
"""What the network may be computed in; fp32 is the reference, in which a model is fitted and calibrated."""

HELD_OUT_SCORES = "held_out_scores"
# Good training images kept with the model: what other precisions are compared on and int8 is calibrated with.
MAX_REFERENCE_IMAGES = 16
# Share of the progress bar that deciding on and fitting the preprocessing takes.
PREPROCESSING_SHARE = 0.2
# A data set of which fewer images can be prepared is not one of good parts.
MIN_USABLE_SHARE = 0.9


def no_progress(fraction: float, sentence: str) -> None:
    """Reports nothing."""


class ImageSource(Protocol):
    """A sequence of images that is read in batches, as often as needed."""

    def __len__(self) -> int: ...

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """uint8 [b,3,H,W] RGB tensors of at most `size` images, in the order of `indices` (default: all, in order)."""
        ...


class Subset:
    """Some images of another source, as if there were no others."""

    def __init__(self, source: ImageSource, indices: Sequence[int]) -> None:
        self.source = source
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """As those of the source."""
        of_source = self.indices if indices is None else [self.indices[index] for index in indices]
        return self.source.batches(size, of_source)


class ReferenceImageCollector:
    """Another source; copies up to `MAX_REFERENCE_IMAGES` of its images, spread over the list, as they are read."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        indices = np.linspace(0, len(source) - 1, MAX_REFERENCE_IMAGES).round().astype(int).tolist()
        self._images: dict[int, torch.Tensor | None] = dict.fromkeys(indices)

    def __len__(self) -> int:
        return len(self.source)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """As those of the source."""
        order = iter(range(len(self)) if indices is None else indices)
        for batch in self.source.batches(size, indices):
            for index, image in zip(islice(order, len(batch)), batch, strict=True):
                if index in self._images and self._images[index] is None:
                    self._images[index] = image.clone()
            yield batch

    def images(self) -> torch.Tensor:
        """uint8 [n,3,H,W], those that were read."""
        return torch.stack([image for image in self._images.values() if image is not None])


@dataclass(frozen=True)
class BatchScores:
    """Raw results of a batch: no clamping, no normalisation, no threshold.

    Attributes:
        scores: float32 [B], larger is more anomalous: the maximum of the map.
        maps: float32 [B,H,W] in model pixels, smoothed; 0 where nothing is judged.
    """

    scores: np.ndarray
    maps: np.ndarray


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` when there is one, else `cpu`.

    Raises:
        DetectorError: for any other word, and for `cuda` on a machine without it.
    """
    if device not in DEVICES:
        raise DetectorError(f"device={device!r} is not valid: choose from {', '.join(DEVICES)}.")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise DetectorError("device=cuda was requested, but PyTorch finds no CUDA device here; use device=auto or cpu.")
    if device == "auto":
        return "cuda" if available else "cpu"
    return device


def autocast_context(device: str, precision: torch.dtype) -> AbstractContextManager[Any]:
    """In it a network is computed in this precision; for float32 there is nothing to do, and nothing for a tracer."""
    return nullcontext() if precision is torch.float32 else torch.autocast(device, precision)


class Detector(ABC):
    """Learns from good images, then gives every image a score and a map of where it differs.

    A subclass names its `algorithm` and `config_class` and fills in `_fit`, `_maps`, `_tensors` and
    `_restore_tensors`; everything else is the same for all.

    Attributes:
        config: the options, frozen.
        device: "cpu" or "cuda".
        preprocessing: brings a decoded image to the model's input; give it to the image source.
        backbone_info: {"name", "source", "sha256"} of the pretrained weights, or None where there are none.
        history: what was measured while training, one dict per epoch; empty where nothing is iterated.
        n_train: number of good images given to `fit`; 0 before.
        learning_curve: after `fit`, numbers of images, ascending, and the mean score of good images that models of
            so many have not seen; empty where the detector does not measure it, and in one that was restored.
        input_profile: what the training images look like as pictures, to recognise pictures of another kind; None
            before `fit`, where it was given pixels that were ready, and in artifacts older than it.
        checkpoint: file in which `fit` keeps how far it is and from which it goes on; None keeps nothing. Only
            detectors that learn in epochs use it: a fit of the others is over in minutes.
    """

    algorithm: ClassVar[str]
    config_class: ClassVar[type[DetectorConfig]]

    def __init__(self, config: DetectorConfig, device: str = "cpu") -> None:
        self.config = config
        self.device = device
        self.preprocessing = Preprocessing(
            *config.image_size,
            illumination=config.illumination,
            align=config.align,
            region=config.region,
            window_option=config.window,
        )
        self.backbone_info: dict[str, str] | None = None
        self.history: list[dict[str, float]] = []
        self.n_train = 0
        self.learning_curve: list[tuple[int, float]] = []
        self.input_profile: InputProfile | None = None
        self.checkpoint: Path | None = None
        self._held_out = np.empty(0, dtype=np.float64)
        self._reference_images = torch.empty(0, dtype=torch.uint8)

    def fit(self, source: ImageSource, *, ignore: PaintedMask | None = None, progress: Progress = no_progress) -> Self:
        """Learn what good parts look like.

        Args:
            source: good images only, at least two.
            ignore: what is not to be judged.
            progress: called often; an exception that it raises ends the fit and reaches the caller unchanged.

        Raises:
            TooFewImages: with fewer than two images.
            WeightsError: when the backbone's weights cannot be had.
            DetectorError: when an image or an option does not fit.
        """
        if len(source) < 2:
            raise TooFewImages(f"Training needs at least 2 good images, there are {len(source)}.")
        devices = [torch.cuda.current_device()] if self.device == "cuda" else []
        source = self._fit_preprocessing(source, ignore, progress)
        collector = ReferenceImageCollector(source)
        start = 0.0 if self.preprocessing.is_plain else PREPROCESSING_SHARE
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.config.seed)
            self._held_out = self._fit(
                collector, lambda done, sentence: progress(start + (1 - start) * done, sentence)
            ).astype(np.float64)
        self._reference_images = collector.images()
        self.n_train = len(source)
        progress(1.0, f"fitted on {len(source)} good images")
        return self

    def _fit_preprocessing(self, source: ImageSource, ignore: PaintedMask | None, progress: Progress) -> ImageSource:
        """Learn illumination and pose, and leave out the images that cannot be compared."""
        if not isinstance(source, DecodedImages):
            # Pixels that are ready: there is nothing left to decide.
            if ignore is not None:
                raise DetectorError("A mask of what is ignored needs images that are prepared by this detector.")
            if self.config.is_native:
                raise DetectorError("image_size=native is not valid for pixels that were prepared already.")
            return source
        progress(0.0, "deciding on illumination and pose")
        preprocessing = self.preprocessing.fit(source, ignore)
        self.input_profile = self._profile_of(source)
        if preprocessing.is_plain:
            return source
        usable = []
        for index, fits in enumerate(preprocessing.comparable(source)):
            progress(PREPROCESSING_SHARE * index / len(source), f"aligning image {index + 1} of {len(source)}")
            if fits:
                usable.append(index)
        if len(usable) < max(2, MIN_USABLE_SHARE * len(source)):
            raise DetectorError(
                f"{len(source) - len(usable)} of {len(source)} good images cannot be compared with the others "
                f"({', '.join(sorted({str(item['reason']) for item in preprocessing.excluded}))}). "
                "Take them out, or train without alignment and illumination."
            )
        return source if len(usable) == len(source) else Subset(source, usable)

    def _profile_of(self, source: DecodedImages) -> InputProfile:
        return InputProfile.learn(source.map(self.preprocessing.summarise, exemplars(len(source))))

    def extend_input_profile(self, source: DecodedImages) -> None:
        """Let pictures like these good ones be judged, too. A model without a profile gets none from them alone."""
        if self.input_profile is not None and len(source):
            self.input_profile = self.input_profile.merged_with(self._profile_of(source))

    def score(self, images: torch.Tensor) -> BatchScores:
        """Score a batch.

        Args:
            images: uint8 [B,3,H,W], RGB, H and W as in `input_size`, on any device.

        Raises:
            DetectorError: when the detector is not fitted or the images have another shape or dtype.
        """
        self.check(images)
        with torch.inference_mode():
            maps = self._maps(images.to(self.device)).cpu().numpy()
        return BatchScores(scores=maps.max(axis=(1, 2), initial=-np.inf), maps=maps)

    def check(self, images: torch.Tensor) -> None:
        """Raises DetectorError as `score` does."""
        self._require_fitted()
        expected = (3, *self.input_size)
        if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise DetectorError(
                f"Expected uint8 images of shape [B, {', '.join(map(str, expected))}], "
                f"got {images.dtype} {list(images.shape)}."
            )

    @abstractmethod
    def map_function(self, precision: str) -> MapFunction:
        """What `score` takes the maps from, with the network in one of `PRECISIONS`. For `torch.inference_mode`."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The part with the convolutions, which may be computed in less than float32."""

    @abstractmethod
    def portable_maps(self, images: torch.Tensor, precision: torch.dtype = torch.float32) -> torch.Tensor:
        """`_maps` of operations that compilers and other runtimes have too; equal up to rounding.

        Args:
            images: uint8 [B,3,H,W] on `self.device`.
            precision: of the network; what comes after it is float32.
        """

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the model's input; under pose alignment known once the preprocessing is fitted."""
        return self.preprocessing.size

    @property
    def ignored(self) -> torch.Tensor | None:
        """bool [H,W], the model's pixels that are not judged, on the CPU; None where all are."""
        mask = self.preprocessing.ignore_mask
        return None if mask is None else torch.from_numpy(mask.ignored)

    @property
    def held_out_scores(self) -> np.ndarray:
        """Scores, float64 [n], of good images by models that have not seen them: what new good parts will score."""
        self._require_fitted()
        return self._held_out

    @property
    def reference_images(self) -> torch.Tensor:
        """uint8 [n,3,H,W]: up to 16 good training images as the model sees them, spread evenly over the list."""
        self._require_fitted()
        return self._reference_images

    def prepare(self, image: Image.Image, rules: InputRules | None = None) -> PreparedImage:
        """An RGB or 16-bit grey image brought to the model's input, with the way back to its own pixels.

        Args:
            rules: what is checked of the picture; nothing where they are not given or the model knows no profile.

        Raises:
            NotComparable: when the picture is of another kind than the training images, or its part cannot be found or
                aligned, so that no score of it would mean anything.
        """
        if rules is None or self.input_profile is None:
            return self.preprocessing.prepare(image)
        findings = self.input_profile.check_frame(image, rules) + self._check_depth(image, rules)
        raise_if_refused(findings)
        image = self.preprocessing.to_rgb(image)
        prepared = self.preprocessing.prepare(image)
        assert prepared.view is not None, "an image that was decoded has one"
        distance, residual = self.input_profile.distance(prepared.view), prepared.alignment_residual
        findings += self.input_profile.check_content(image, distance, rules)
        raise_if_refused(findings)
        if residual is None:
            residual = self.input_profile.residual(prepared.view)
        return replace(prepared, findings=tuple(findings), distance=distance, alignment_residual=residual)

    def _check_depth(self, image: Image.Image, rules: InputRules) -> list[Finding]:
        window = self.preprocessing.window
        if window is None:
            return []
        return window.check_sixteen_bit(image) if is_sixteen_bit(image) else window.check_eight_bit(rules)

    @property
    def window(self) -> Window | None:
        """Which values of 16-bit grey images are black and white for this model, where it learnt from such."""
        window = self.preprocessing.window
        return window.bounds if window else None

    def describe(self) -> dict[str, Any]:
        """Everything but the tensors, JSON-safe; `restore` takes it back."""
        return {
            "algorithm": self.algorithm,
            "config": self.config.as_dict(),
            "preprocessing": self.preprocessing.describe(),
            "input_check": self.input_profile.describe() if self.input_profile else None,
            "backbone": self.backbone_info,
            "n_train": self.n_train,
            "history": self.history,
        }

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors, on the CPU, contiguous; together with `describe` they are the whole model."""
        self._require_fitted()
        tensors = {
            **self._tensors(),
            HELD_OUT_SCORES: torch.from_numpy(self._held_out),
            REFERENCE_IMAGES: self._reference_images,
        }
        tensors |= {PREPROCESSING_PREFIX + name: tensor for name, tensor in self.preprocessing.tensors().items()}
        tensors |= self.input_profile.tensors() if self.input_profile else {}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    @classmethod
    def restore(cls, description: Mapping[str, Any], state: Mapping[str, torch.Tensor], device: str = "cpu") -> Self:
        """Rebuild a fitted detector from `describe` and `state`. It scores as the original did.

        Raises:
            DetectorError, KeyError, TypeError, ValueError, RuntimeError: when the two do not belong together;
            `artifacts.load` turns them into one `ArtifactError`.
        """
        detector = cls(cls.config_class(**description["config"]), resolve_device(device))
        detector.backbone_info = description["backbone"]
        detector.history = list(description["history"])
        detector.n_train = int(description["n_train"])
        tensors = dict(state)
        own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(PREPROCESSING_PREFIX)}
        detector.preprocessing = Preprocessing.restore(
            description["preprocessing"],
            {name.removeprefix(PREPROCESSING_PREFIX): tensor for name, tensor in own.items()},
        )
        profile = {name: tensors.pop(name) for name in list(tensors) if name.startswith(INPUT_CHECK_PREFIX)}
        detector.input_profile = InputProfile.restore(profile) if profile else None
        detector._held_out = tensors.pop(HELD_OUT_SCORES).numpy().astype(np.float64)
        detector._reference_images = tensors.pop(REFERENCE_IMAGES)
        if detector._reference_images.dtype != torch.uint8 or detector._reference_images.shape[1:] != (
            3,
            *detector.input_size,
        ):
            raise DetectorError("The reference images do not have the model's input size.")
        # Building a network draws initial weights, which the stored ones replace.
        with torch.random.fork_rng([]):
            detector._restore_tensors(tensors)
        return detector.to(detector.device)

    @abstractmethod
    def to(self, device: str) -> Self:
        """Move the model to "cpu", "cuda" or "auto"; returns self."""

    @abstractmethod
    def _fit(self, source: ImageSource, progress: Progress) -> np.ndarray:
        """Learn, with the random state seeded; returns the held-out scores, float [n]."""

    @abstractmethod
    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        """Smoothed anomaly maps, float32 [B,H,W], of uint8 [B,3,H,W] on `self.device`."""

    @abstractmethod
    def _tensors(self) -> dict[str, torch.Tensor]:
        """The fitted model's tensors."""

    @abstractmethod
    def _restore_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `_tensors`, given `config` and `backbone_info`."""

    def _require_fitted(self) -> None:
        if self.n_train == 0:
            raise DetectorError(f"This {self.algorithm} detector is not fitted yet.")
