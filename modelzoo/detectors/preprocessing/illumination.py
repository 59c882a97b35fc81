"""Illumination: the lamp's unevenness, read from the background, and its flat-field correction.

A smooth surface is fitted to the background of every single picture. Dividing by it is flat-field correction, ordinary
practice in machine vision: what remains is the part, not how bright the lamp was that day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import cv2
import numpy as np

from modelzoo.detectors.errors import NotComparable

# The surface is fitted on a picture whose longer side has this many pixels: it is smooth, more would add nothing.
FIT_SIDE = 64
FIT_ROUNDS = 10
# A pixel belongs to the background when it lies within so many standard deviations, or so many grey levels, of it.
REACH = 3.5
MIN_REACH = 2.5
# Exponents of x and y of the surface, the plane first: the first rounds fit only that, to the rim of the picture.
TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
N_PLANE_TERMS = 3
# What a background is: it fills the rim and is even enough. Otherwise the part fills the frame, or is a texture.
MIN_RIM_SHARE = 0.8
MAX_NOISE = 0.08
# Darker than this (of 255) a background says nothing about the lamp.
MIN_LEVEL = 16.0


@dataclass(frozen=True)
class Background:
    """The surface that the background of one picture lies on.

    Attributes:
        coefficients: float64 [6,3], of the terms in x and y (-1..1 over the picture), grey levels, per channel.
        noise: float64 [3], robust standard deviation of the background around it, grey levels.
        rim: share of the picture's rim that lies on it, 0..1.
    """

    coefficients: np.ndarray
    noise: np.ndarray
    rim: float

    @classmethod
    def of(cls, picture: np.ndarray) -> Background:
        """Fit to float32 [h,w,3] in grey levels (0..255), starting from the rim, dropping what does not lie on it."""
        factor = FIT_SIDE / max(picture.shape[:2])
        size = (max(8, round(picture.shape[1] * factor)), max(8, round(picture.shape[0] * factor)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float64)
        height, width = small.shape[:2]
        terms = _grid(width, height).reshape(-1, len(TERMS))
        values = small.reshape(-1, 3)
        if (values[:, :1] == values).all():
            values = values[:, :1]  # a grey picture is fitted once
        rim = np.ones((height, width), dtype=bool)
        depth = max(2, min(height, width) // 16)
        rim[depth:-depth, depth:-depth] = False
        on_background = rim.ravel()
        for step in range(FIT_ROUNDS):
            n_terms = N_PLANE_TERMS if step < 2 else len(TERMS)
            basis = terms[on_background, :n_terms]
            # A trace of ridge: few background pixels must not let the surface swing under the part.
            gram = basis.T @ basis + 1e-6 * len(terms) * np.eye(n_terms)
            solution = np.linalg.solve(gram, basis.T @ values[on_background])
            residuals = values - terms[:, :n_terms] @ solution
            noise = 1.4826 * np.median(np.abs(residuals[on_background]), axis=0)
            within_reach = (np.abs(residuals) < np.maximum(REACH * noise, MIN_REACH)).all(axis=1)
            if within_reach.sum() < 4 * len(TERMS):
                break
            if n_terms == len(TERMS) and (within_reach == on_background).all():
                break
            on_background = within_reach
        coefficients = np.zeros((len(TERMS), 3))
        coefficients[: len(solution)] = solution
        return cls(coefficients, np.broadcast_to(noise, 3), float(within_reach[rim.ravel()].mean()))

    @property
    def level(self) -> np.ndarray:
        """float64 [3], its mean over the picture, grey levels."""
        mean = np.array([1, 0, 0, 1 / 3, 0, 1 / 3])  # of each term over the square -1..1
        return np.asarray(mean @ self.coefficients)

    @property
    def is_usable(self) -> bool:
        """Whether the lamp can be corrected by it: it fills the rim and is even."""
        return self.rim >= MIN_RIM_SHARE and bool((self.noise <= np.maximum(MAX_NOISE * self.level, MIN_REACH)).all())

    def problem(self) -> str:
        """What is wrong with it, in words."""
        if self.rim < MIN_RIM_SHARE:
            return f"only {100 * self.rim:.0f} % of the image border is even"
        if not self.is_usable:
            return f"the background is uneven, by {self.noise.max():.0f} grey levels"
        return f"the background is too dark, at {self.level.min():.0f} of 255 grey levels"

    def surface(self, width: int, height: int) -> np.ndarray:
        """float32 [height,width,3], grey levels, over the whole picture in that many pixels."""
        return self.at(*_positions(width, height))

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """float32 [...,3], grey levels, at positions of -1..1 over the picture."""
        x, y = x.astype(np.float32), y.astype(np.float32)
        # A grey picture has the same surface in every channel.
        grey = (self.coefficients[:, :1] == self.coefficients).all()
        channels = []
        for one, along_x, along_y, xx, xy, yy in self.coefficients.T[: 1 if grey else 3].astype(np.float32):
            channels.append(one + x * (along_x + xx * x + xy * y) + y * (along_y + yy * y))
        return np.broadcast_to(np.stack(channels, axis=-1), (*channels[0].shape, 3))


class FlatField:
    """Brings the background of every picture to the brightness that the good pictures' backgrounds have on average.

    Attributes:
        level: float64 [3], that brightness per channel, grey levels.
    """

    def __init__(self, level: np.ndarray) -> None:
        self.level = np.asarray(level, dtype=np.float64)

    @classmethod
    def fit(cls, backgrounds: Sequence[Background]) -> Self:
        """From the backgrounds of good pictures."""
        return cls(np.median([background.level for background in backgrounds], axis=0))

    def transform(self, pixels: np.ndarray, surface: np.ndarray) -> np.ndarray:
        """float32 [h,w,3] pixels divided by their background, float32 [h,w,3], and lifted to the common level."""
        return np.asarray(pixels * (self.level.astype(np.float32) / np.maximum(surface, 1.0)), dtype=np.float32)

    def check(self, background: Background) -> None:
        """Raises NotComparable when a picture shows no background to correct it by."""
        if not background.is_usable or background.level.min() < MIN_LEVEL / 2:
            raise NotComparable(
                "no_background", f"Uneven background: lighting cannot be corrected ({background.problem()})."
            )

    def describe(self) -> dict[str, Any]:
        """JSON-safe; `restore` takes it back."""
        return {"level": self.level.tolist()}

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `describe`."""
        return cls(np.array(description["level"], dtype=np.float64))


def _axis(n: int) -> np.ndarray:
    """Pixel centres of n pixels, float64 [n], in -1..1 over the picture's edges."""
    return (np.arange(n) + 0.5) / n * 2 - 1


@lru_cache(maxsize=8)
def _positions(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """x, float32 [1,width], and y, float32 [height,1], of all pixels of a picture."""
    return _axis(width)[None, :].astype(np.float32), _axis(height)[:, None].astype(np.float32)


@lru_cache(maxsize=8)
def _grid(width: int, height: int) -> np.ndarray:
    """The terms at all pixels of a picture, float64 [height,width,6]; asked for again with every picture."""
    return _terms(_axis(width)[None, :], _axis(height)[:, None])


def _terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.broadcast_to(x**i * y**j, np.broadcast_shapes(x.shape, y.shape)) for i, j in TERMS], axis=-1)
