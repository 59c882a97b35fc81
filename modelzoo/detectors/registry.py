"""All detectors by name. Importing this module imports torch."""

from __future__ import annotations

from typing import Any, TypeVar

from modelzoo.detectors.autoencoder.detector import ConvAutoencoder
from modelzoo.detectors.base import Detector, resolve_device
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.padim.detector import Padim
from modelzoo.detectors.patchcore.detector import PatchCore

D = TypeVar("D", bound=type[Detector])

_DETECTORS: dict[str, type[Detector]] = {}


def register(detector_class: D) -> D:
    """Make a detector known under its `algorithm`; usable as a decorator. A name that is taken is an error."""
    if detector_class.algorithm in _DETECTORS:
        raise DetectorError(f"There is already a detector called {detector_class.algorithm}.")
    _DETECTORS[detector_class.algorithm] = detector_class
    return detector_class


def names() -> list[str]:
    """The registered algorithms, sorted."""
    return sorted(_DETECTORS)


def detector_class(algorithm: str) -> type[Detector]:
    """The class of an algorithm; a DetectorError when there is none."""
    try:
        return _DETECTORS[algorithm]
    except KeyError:
        raise DetectorError(f"There is no detector called {algorithm!r}; there are {', '.join(names())}.") from None


def options_for(algorithm: str) -> set[str]:
    """What `create` takes for this algorithm, `device` included."""
    return detector_class(algorithm).config_class.names() | {"device"}


def create(algorithm: str, *, device: str = "auto", **options: Any) -> Detector:
    """An unfitted detector.

    Args:
        algorithm: one of `names()`.
        device: auto, cpu or cuda.
        options: see `options_for`; what is not given has its default.

    Raises:
        DetectorError: for an unknown algorithm, an option that it does not have, or a value that is not allowed.
    """
    chosen = detector_class(algorithm)
    return chosen(chosen.config_class.from_options(algorithm, options), resolve_device(device))


register(Padim)
register(PatchCore)
register(ConvAutoencoder)
