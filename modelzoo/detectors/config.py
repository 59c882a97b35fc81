"""Options of a detector: a frozen dataclass whose fields carry their own documentation and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args, get_origin, get_type_hints

from modelzoo.detectors.errors import DetectorError

ILLUMINATION = ("auto", "none", "flatfield")
ALIGN = ("auto", "none", "pose")
_MAX_VALUE = 1e300  # keeps out infinities, NaN, and integers that no float holds
NATIVE = "native"
# Height and width as they are stored until the good images have said what their own size is.
NATIVE_SIZE = (0, 0)
# What a model's input may have. One image of as many pixels is some 400 MB in the first layers of a network.
MAX_INPUT_PIXELS = 2**22


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    words: Mapping[str, Any] | None = None,
) -> Any:
    """A dataclass field with its meaning (`help`), inclusive limits and, for words, the allowed `choices`.

    `words` stand for values beyond the limits: they are what people write and what is stored.
    """
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "words": words or {}}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class InputConfig:
    """What is asked for of every training. Values are checked and brought to their declared type on construction.

    Raises:
        DetectorError: names the option, the value that was given and what is allowed.
    """

    image_size: tuple[int, int] = option(
        (256, 256),
        "height and width of the model's input in pixels; one number means a square, native the images' own size",
        low=32,
        high=8192,
        words={NATIVE: NATIVE_SIZE},
    )
    illumination: str = option(
        "auto",
        "corrects the lighting: divides by the background, or decides from the good images",
        choices=ILLUMINATION,
    )
    align: str = option("auto", "turns and crops to the part, or decides from the good images", choices=ALIGN)
    region: tuple[float, float, float, float] = option(
        (0, 0, 1, 1), "left, top, right, bottom of the inspected area, as shares of the image", low=0, high=1
    )
    window: tuple[int, int] = option(
        (0, 0),
        "values of 16-bit grey images that are black and white; 0 0: decided from the good images",
        low=0,
        high=65535,
    )
    batch_size: int = option(16, "images that go through the network at once", low=1, high=1024)
    seed: int = option(0, "seed of everything random", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, words = getattr(self, field.name), field.metadata["words"]
            value = words.get(value, value) if isinstance(value, str) else value
            value = _converted(field.name, value, hints[field.name])
            if value not in words.values():
                _check_limits(field.name, value, field.metadata)
            object.__setattr__(self, field.name, value)
        left, top, right, bottom = self.region
        if left >= right or top >= bottom:
            raise DetectorError(
                f"region={self.region!r} is not valid: left, top, right, bottom, the first two smaller than the others."
            )
        low, high = self.window
        if low >= high and self.window != (0, 0):
            raise DetectorError(f"window={self.window!r} is not valid: two values, the first smaller than the second.")
        if self.image_size[0] * self.image_size[1] > MAX_INPUT_PIXELS:
            raise DetectorError(
                f"image_size={self.image_size} is not valid: more than {MAX_INPUT_PIXELS / 1e6:.1f} million pixels."
            )

    @classmethod
    def from_options(cls, algorithm: str, options: Mapping[str, Any]) -> Self:
        """Build the configuration of `algorithm`; an option it does not have is an error, never ignored."""
        names = cls.names()
        for name in options:
            if name not in names:
                raise DetectorError(f"{algorithm} has no option {name!r}; it has {', '.join(sorted(names))}.")
        return cls(**options)

    @property
    def is_native(self) -> bool:
        """Whether the size of the input is that of the good images."""
        return self.image_size == NATIVE_SIZE

    @classmethod
    def names(cls) -> set[str]:
        """The names of all options."""
        return {field.name for field in dataclasses.fields(cls)}

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe copy; `type(self)(**config.as_dict())` gives an equal configuration."""
        return {
            field.name: _as_json(getattr(self, field.name), field.metadata["words"])
            for field in dataclasses.fields(self)
        }


def _as_json(value: Any, words: Mapping[str, Any]) -> Any:
    for word, meaning in words.items():
        if value == meaning:
            return word
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class DetectorConfig(InputConfig):
    """What every detector has in common."""

    sigma: float = option(4.0, "standard deviation of the blur of the anomaly map, in model pixels", low=0, high=64)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_native and int(4 * self.sigma + 0.5) >= min(self.image_size):
            raise DetectorError(f"sigma={self.sigma} blurs wider than an image of {self.image_size} pixels.")


def _converted(name: str, value: Any, hint: Any) -> Any:
    """`value` as the type `hint`. Only harmless conversions: int to float, list to tuple, one number to a pair."""
    if get_origin(hint) is tuple:
        inner, *others = get_args(hint)
        if inner is int and _is_number(value):
            value = (value, value)
        right_length = (lambda n: n > 0) if others == [Ellipsis] else (lambda n: n == len(others) + 1)
        if isinstance(value, (list, tuple)) and right_length(len(value)):
            return tuple(_converted(name, item, inner) for item in value)
    elif hint is bool or hint is str:
        if isinstance(value, hint):
            return value
    elif _is_number(value) and abs(value) < _MAX_VALUE and hint(value) == value:
        return hint(value)
    type_name = getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)
    raise DetectorError(f"{name}={value!r} is not valid: expected {type_name}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_limits(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    low, high, choices = metadata.get("low"), metadata.get("high"), metadata.get("choices")
    for item in value if isinstance(value, tuple) else (value,):
        if low is not None and item < low:
            raise DetectorError(f"{name}={item!r} is not valid: the least is {low}.")
        if high is not None and item > high:
            raise DetectorError(f"{name}={item!r} is not valid: the most is {high}.")
        if choices is not None and item not in choices:
            raise DetectorError(f"{name}={item!r} is not valid: choose from {', '.join(choices)}.")
