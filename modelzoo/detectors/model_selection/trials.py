"""One candidate fitted on good images, and scored on others with and without synthetic defects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from PIL import Image

from modelzoo.detectors import registry
from modelzoo.detectors.backbones.weights import local_backbones, resolve_weights
from modelzoo.detectors.base import Detector, no_progress
from modelzoo.detectors.config import DetectorConfig
from modelzoo.detectors.errors import DetectorError, NotComparable, TooFewImages
from modelzoo.detectors.model_selection.candidates import Candidate, detectors, variations
from modelzoo.detectors.model_selection.comparison import TrialScores
from modelzoo.detectors.model_selection.search import Progress, Trial
from modelzoo.detectors.options import AUTO
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from modelzoo.detectors.preprocessing.pipeline import DecodedImages, Preprocessing
from modelzoo.detectors.synthetic_defects.defects import DefectSpec, SyntheticDefect, make_defect, one_of_each_kind
from modelzoo.detectors.synthetic_defects.parts import Part

T = TypeVar("T")

# Of ten good images three are held out, in blocks: neighbours can be sister parts, nearly the same image twice.
HELD_OUT_SHARE, IMAGES_PER_BLOCK, MAX_BLOCKS = 0.3, 10, 5
MIN_IMAGES = 10
# Good images and held-out ones of the first two stages, and of the last.
FEW, MANY = (48, 20), (240, 72)
MIN_MORE = 1.3
# Good images that are looked at for it: the winner is trained on all.
MAX_IMAGES = 480
# Views in which images are compared. Two are near-equal when they differ by less than this share of what two good
# images usually differ by.
_VIEW_SIDE, _NEAR_EQUAL = 32, 0.25
# What the prepared images of a trial may take.
_MAX_BYTES = 2**30
# What a trial does not need: held-out scores by more models than one has to make.
_TRIAL_OPTIONS: dict[str, dict[str, Any]] = {"patchcore": {"folds": 2}}


class PreparedPixels:
    """Images as the model sees them, in memory."""

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[torch.Tensor]:
        """uint8 [b,3,H,W], see `base.ImageSource`."""
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(list(indices), dtype=torch.long)
        for chunk in order.split(size):
            if len(chunk):
                yield self.pixels[chunk]


class DecodedSubset:
    """Some decoded images of another source, as if there were no others."""

    def __init__(self, images: DecodedImages, indices: Sequence[int]) -> None:
        self.images = images
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def map(self, function: Callable[[Image.Image], T], indices: Sequence[int] | None = None) -> Iterable[T]:
        """As that of the other source."""
        return self.images.map(
            function, self.indices if indices is None else [self.indices[index] for index in indices]
        )


@dataclass(frozen=True)
class Split:
    """Indices of the good images to learn from, and of those held out."""

    learned: list[int]
    held_out: list[int]

    def thinned(self, n_learned: int, n_held_out: int) -> Split:
        """At most so many of each, evenly spaced."""
        return Split(_thinned(self.learned, n_learned), _thinned(self.held_out, n_held_out))


def split_images(views: np.ndarray) -> Split:
    """Held-out images in blocks; what is near-equal to one of them is not learned from, or the comparison would be of
    what a detector remembers.

    Args:
        views: float [n,p], the images in order, made small.

    Raises:
        TooFewImages: with fewer than ten that differ.
    """
    n = len(views)
    if n < MIN_IMAGES:
        raise TooFewImages(f"There are {n} good images; {MIN_IMAGES} are needed to compare detectors.")
    blocks = np.array_split(np.arange(n), min(MAX_BLOCKS, max(1, n // IMAGES_PER_BLOCK)))
    held_out: list[int] = []
    for block in blocks:
        length = max(1, round(HELD_OUT_SHARE * len(block)))
        start = (len(block) - length) // 2
        held_out += block[start : start + length].tolist()
    others = np.setdiff1d(np.arange(n), held_out)
    distances = np.stack([np.abs(views[others] - views[index]).mean(axis=1) for index in held_out])
    learned = others[distances.min(axis=0) > _NEAR_EQUAL * np.median(distances)].tolist()
    if len(learned) < MIN_IMAGES // 2:
        raise TooFewImages("The good images are copies of one another; detectors cannot be compared on them.")
    return Split(learned, held_out)


@dataclass(frozen=True)
class _Prepared:
    """Images under one preprocessing.

    Attributes:
        learned: uint8 [n,3,H,W].
        held_out: uint8 [m,3,H,W] of those that could be compared, in the order of `comparable`.
        comparable: bool [images, 1 + kinds]: each held-out image as it is, then with a defect of each kind.
    """

    preprocessing: Preprocessing
    learned: torch.Tensor
    held_out: torch.Tensor
    comparable: np.ndarray


class ImageTrials:
    """Trials on good images.

    Args:
        images: all good training images, decoded.
        options: what the run was asked for, for every candidate that has such an option.
        minutes: the budget, which decides whether slow candidates are there at all.
        ignore: what is not to be judged.
        progress: told while the images are looked at for the first time.
    """

    def __init__(
        self,
        images: DecodedImages,
        *,
        options: Mapping[str, Any],
        seed: int,
        device: str,
        minutes: float,
        ignore: PaintedMask | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._ignore = ignore
        self.n_images = len(images)
        if len(images) > MAX_IMAGES:
            images = DecodedSubset(images, _thinned(list(range(len(images))), MAX_IMAGES))
        self._images, self._options, self._seed, self._device = images, dict(options), seed, device
        summaries = []
        for summary in images.map(_view):
            summaries.append(summary)
            progress(0.0, f"looking at image {len(summaries)} of {len(images)}")
        self._split = split_images(np.stack([view for view, _ in summaries]))
        self._few, self._many = self._split.thinned(*FEW), self._split.thinned(*MANY)
        self.has_more = len(self._many.held_out) >= MIN_MORE * len(self._few.held_out)
        self._defects: dict[int, list[SyntheticDefect]] = {}
        self._prepared: dict[tuple[Any, ...], _Prepared] = {}
        own_height, own_width = np.median([size for _, size in summaries], axis=0)
        self._own_size = float(own_height), float(own_width)
        self._minutes = minutes

    def detectors(self) -> list[Candidate]:
        """See `search.Trials`."""
        is_fixed = self._options.get("backbone", AUTO) != AUTO
        return detectors([] if is_fixed else local_backbones(besides=resolve_weights(AUTO).name), self._minutes)

    def variations(self, candidate: Candidate) -> list[Candidate]:
        """See `search.Trials`."""
        defaults = self._config(candidate).as_dict()
        may_be_unaligned = self._options.get("align", AUTO) == AUTO and any(
            prepared.preprocessing.alignment is not None for prepared in self._prepared.values()
        )
        return variations(candidate, defaults, self._own_size, may_be_unaligned=may_be_unaligned)

    def work(self, candidate: Candidate, *, on_all: bool) -> float:
        """See `search.Trials`."""
        split = self._many if on_all else self._few
        height, width = self._config(candidate).image_size
        return float(height * width * (len(split.learned) + (1 + len(one_of_each_kind(0, 0))) * len(split.held_out)))

    def run(self, candidate: Candidate, *, on_all: bool, progress: Progress) -> Trial:
        """See `search.Trials`."""
        return self.run_fitted(candidate, on_all=on_all, progress=progress)[0]

    def run_fitted(self, candidate: Candidate, *, on_all: bool, progress: Progress) -> tuple[Trial, Detector]:
        """As `run`, with what was fitted."""
        began = time.monotonic()
        split = self._many if on_all else self._few
        options = self._of(candidate.algorithm) | dict(candidate.options) | _TRIAL_OPTIONS.get(candidate.algorithm, {})
        detector = registry.create(candidate.algorithm, device=self._device, seed=self._seed, **options)
        prepared = self._prepare(detector, split, progress)
        detector.preprocessing = prepared.preprocessing
        fit_began = time.monotonic()
        detector.fit(PreparedPixels(prepared.learned), progress=progress)
        fit_seconds = time.monotonic() - fit_began
        scores = _score(detector, prepared, progress)
        trial = Trial(
            candidate,
            scores,
            [[defect.spec for defect in self._defects[index]] for index in split.held_out],
            len(prepared.learned),
            self.work(candidate, on_all=on_all),
            fit_seconds,
            time.monotonic() - began,
        )
        return trial, detector

    def _config(self, candidate: Candidate) -> DetectorConfig:
        options = self._of(candidate.algorithm) | dict(candidate.options)
        return registry.find(candidate.algorithm).config.from_options(candidate.algorithm, options)

    def _of(self, algorithm: str) -> dict[str, Any]:
        """What the run was asked for, of this detector's options."""
        names = registry.find(algorithm).config.names()
        return {name: value for name, value in self._options.items() if name in names}

    def _prepare(self, detector: Detector, split: Split, progress: Progress) -> _Prepared:
        """The images of a split as the detector sees them; those of the last few preparations are kept."""
        config = detector.config
        key = (config.image_size, config.illumination, config.align, config.region, len(split.learned))
        if key not in self._prepared:
            progress(0.0, "preparing the images")
            height, width = config.image_size
            count = len(split.learned) + len(split.held_out) * (1 + len(one_of_each_kind(0, 0)))
            if 3 * height * width * count > _MAX_BYTES:
                raise DetectorError("The images would take more memory than a comparison may have.")
            while (
                self._prepared and sum(map(_bytes, self._prepared.values())) + 3 * height * width * count > _MAX_BYTES
            ):
                del self._prepared[next(iter(self._prepared))]
            self._prepared[key] = self._newly_prepared(detector, split, progress)
        return self._prepared[key]

    def _newly_prepared(self, detector: Detector, split: Split, progress: Progress) -> _Prepared:
        preprocessing = detector.preprocessing
        learned = DecodedSubset(self._images, split.learned)
        preprocessing.fit(learned, self._ignore)
        pixels = []
        for done, prepared in enumerate(learned.map(lambda image: _prepared_pixels(preprocessing, image))):
            progress(0.0, f"preparing image {done + 1} of {len(split.learned)}")
            pixels += [] if prepared is None else [prepared]
        held_out, comparable = [], []
        for number, (index, image) in enumerate(
            zip(split.held_out, self._images.map(_copy, split.held_out), strict=True)
        ):
            progress(0.0, f"putting defects on image {number + 1} of {len(split.held_out)}")
            variants = [image, *(defect.on(image) for defect in self._defects_of(index, image, preprocessing))]
            seen = [_prepared_pixels(preprocessing, Image.fromarray(variant)) for variant in variants]
            comparable.append([one is not None for one in seen])
            held_out += [one for one in seen if one is not None]
        if len(pixels) < 2 or not held_out:
            raise DetectorError("Too few of the good images can be compared with the others.")
        return _Prepared(preprocessing, torch.stack(pixels), torch.stack(held_out), np.array(comparable))

    def _defects_of(self, index: int, image: np.ndarray, preprocessing: Preprocessing) -> list[SyntheticDefect]:
        if index not in self._defects:
            part = Part.find(image, self._inspected(image, preprocessing))
            number = self._split.held_out.index(index)
            self._defects[index] = [make_defect(image, part, spec) for spec in one_of_each_kind(number, self._seed)]
        return self._defects[index]

    def _inspected(self, image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
        """bool [h,w], false where nothing is judged: outside the region, and under the mask of what is ignored."""
        height, width = image.shape[:2]
        left, top, right, bottom = self._options.get("region", (0, 0, 1, 1))
        inspected = np.zeros((height, width), dtype=bool)
        inspected[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
        if preprocessing.ignore_mask is not None:
            try:
                ignored = preprocessing.prepare(Image.fromarray(image)).ignored_in_original()
            except NotComparable:
                return inspected
            inspected &= ~ignored if ignored is not None else True
        return inspected

    def examples(self, count: int) -> list[tuple[DefectSpec, np.ndarray, np.ndarray]]:
        """Some of the defects that were used: what each is, the image with it, uint8 [h,w,3], and its mask."""
        found = []
        for number, (index, defects) in enumerate(list(self._defects.items())[:count]):
            [image] = self._images.map(_copy, [index])
            defect = defects[number % len(defects)]
            found.append((defect.spec, defect.on(image), defect.whole_mask(*image.shape[:2])))
        return found


def _score(detector: Detector, prepared: _Prepared, progress: Progress) -> TrialScores:
    scores: list[np.ndarray] = []
    done = 0
    for batch in prepared.held_out.split(detector.config.batch_size):
        progress(1.0, f"scoring image {done + 1} of {len(prepared.held_out)}")
        scores.append(detector.score(batch).scores)
        done += len(batch)
    every = np.full(prepared.comparable.shape, np.inf)
    every[prepared.comparable] = np.concatenate(scores)
    return TrialScores(every[:, 0], every[:, 1:])


def _prepared_pixels(preprocessing: Preprocessing, image: Image.Image) -> torch.Tensor | None:
    try:
        return preprocessing.prepare(image).pixels
    except NotComparable:
        return None


def _view(image: Image.Image) -> tuple[np.ndarray, tuple[int, int]]:
    """float32 [p] in which images are compared, and the image's height and width."""
    grey = np.asarray(image.convert("L"))
    small = cv2.resize(grey, (_VIEW_SIDE, _VIEW_SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32).ravel(), (image.height, image.width)


def _copy(image: Image.Image) -> np.ndarray:
    return np.array(image)


def _bytes(prepared: _Prepared) -> int:
    return prepared.learned.nbytes + prepared.held_out.nbytes


def _thinned(indices: list[int], count: int) -> list[int]:
    if len(indices) <= count:
        return indices
    return [indices[place] for place in np.linspace(0, len(indices) - 1, count).round().astype(int)]
