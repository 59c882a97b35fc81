"""All detectors, the one list. Names, words and options need no torch; a class is loaded when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelzoo.detectors.config import DetectorConfig, InputConfig
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import AUTO, AutoencoderConfig, PadimConfig, PatchCoreConfig, SelectionConfig

if TYPE_CHECKING:
    from modelzoo.detectors.base import Detector


@dataclass(frozen=True)
class Trainable:
    """What a training run can be asked for.

    Attributes:
        name: as artifacts, records and the API have it; never changed.
        title, use: what people read who choose one: its name, and when to take it.
        config: its options.
    """

    name: str
    title: str
    use: str
    config: type[InputConfig]


@dataclass(frozen=True)
class Algorithm(Trainable):
    """A detector before torch is loaded.

    Attributes:
        path: module and name of its class.
        is_extendable: whether a trained version can learn from more good images (`partial_fit`).
        is_distributable: whether several processes can train it together.
    """

    config: type[DetectorConfig]
    path: tuple[str, str]
    is_extendable: bool = False
    is_distributable: bool = False


# In the order in which one would try them.
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "padim",
            "PaDiM",
            "Start here. Learns the normal appearance at each position in one pass; fast, small, and can be "
            "extended with more good images. Parts must have the same position in every image, or be alignable.",
            PadimConfig,
            ("modelzoo.detectors.padim.detector", "Padim"),
            is_extendable=True,
        ),
        Algorithm(
            "patchcore",
            "PatchCore",
            "For parts that vary in position or texture, or when PaDiM misses small defects. Compares with "
            "stored patches of good parts; often the most accurate, but slower and with more memory.",
            PatchCoreConfig,
            ("modelzoo.detectors.patchcore.detector", "PatchCore"),
        ),
        Algorithm(
            "autoencoder",
            "Autoencoder",
            "For images that differ much from photographs, such as X-ray. Learns to reconstruct good parts; "
            "needs many images, many minutes and preferably a GPU.",
            AutoencoderConfig,
            ("modelzoo.detectors.autoencoder.detector", "ConvAutoencoder"),
            is_distributable=True,
        ),
    )
}


# No detector: it trains one of them, and that is what comes out.
SELECTION = Trainable(
    AUTO,
    "Automatic",
    "Compares detectors and options on your own good images with artificial defects, within a time budget, and trains "
    "the one that finds most of them. Takes minutes longer; the report shows what was compared.",
    SelectionConfig,
)
TRAINABLE: dict[str, Trainable] = {**ALGORITHMS, SELECTION.name: SELECTION}


def names() -> list[str]:
    """All names, sorted."""
    return sorted(ALGORITHMS)


def names_in_words() -> str:
    """Of what can be trained, for help texts: "padim, patchcore, autoencoder or auto"."""
    *others, last = TRAINABLE
    return f"{', '.join(others)} or {last}"


def find(name: str) -> Algorithm:
    """A DetectorError when there is none of that name."""
    try:
        return ALGORITHMS[name]
    except KeyError:
        raise DetectorError(f"There is no detector called {name!r}; there are {', '.join(names())}.") from None


def find_trainable(name: str) -> Trainable:
    """A DetectorError when nothing of that name can be trained."""
    try:
        return TRAINABLE[name]
    except KeyError:
        raise DetectorError(
            f"There is no detector called {name!r}; there are {', '.join(sorted(TRAINABLE))}."
        ) from None


def detector_class(algorithm: str) -> type[Detector]:
    """The class of an algorithm, which loads torch; a DetectorError when there is none."""
    module, name = find(algorithm).path
    detector_type: type[Detector] = getattr(import_module(module), name)
    return detector_type


def options_for(algorithm: str) -> set[str]:
    """What `create` takes for this algorithm, `device` included."""
    return find(algorithm).config.names() | {"device"}


def create(algorithm: str, *, device: str = "auto", **options: Any) -> Detector:
    """An unfitted detector.

    Args:
        algorithm: one of `names()`.
        device: auto, cpu or cuda.
        options: see `options_for`; what is not given has its default.

    Raises:
        DetectorError: for an unknown algorithm, an option that it does not have, or a value that is not allowed.
    """
    from modelzoo.detectors.base import resolve_device

    config = find(algorithm).config.from_options(algorithm, options)
    return detector_class(algorithm)(config, resolve_device(device))
