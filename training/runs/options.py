"""What a training run is asked for: options and calibration rule, completed by the settings, checked without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from common.errors import UserError
from modelzoo.detectors import registry
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import DEVICES, SelectionConfig
from modelzoo.models import Threshold


def default_options() -> dict[str, Any]:
    """What the settings say of options that several detectors have; each takes those that it knows."""
    return {
        "backbone": "auto",
        "epochs": settings.EPOCHS,
        "batch_size": settings.BATCH_SIZE,
        "image_size": settings.IMAGE_SIZE,
        "illumination": "auto",
        "align": "auto",
        "region": [0, 0, 1, 1],
        "window": [0, 0],
        "latent_dim": settings.LATENT_DIM,
        "learning_rate": settings.LEARNING_RATE,
        "skip_connections": False,
        "budget": SelectionConfig().budget,
        "device": settings.DEVICE,
    }


def option_names(algorithm: str) -> set[str]:
    """The names of what can be set; the seed is not one of them, it has its own place. Raises `UserError`."""

    try:
        return (registry.find_trainable(algorithm).config.names() - {"seed"}) | {"device"}
    except DetectorError as error:
        raise UserError(str(error), code="unknown_algorithm") from error


def complete_options(*, algorithm: str, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The options of a run: those given, else as the settings say, else the detector's own.

    Raises `UserError` for an unknown algorithm, an option that it does not have, or a value that is not allowed. What
    only a worker can know (whether it has a GPU, or the weights of the backbone) the run itself tells.
    """

    names = option_names(algorithm)
    unknown = sorted(set(values) - names)
    if unknown:
        raise UserError(
            f"{algorithm} has no option {unknown[0][:50]!r}; it has {', '.join(sorted(names))}.", code="invalid_options"
        )
    options = {name: value for name, value in default_options().items() if name in names} | dict(values)
    if options["device"] not in DEVICES:
        raise UserError(
            f"device={options['device']!r} is not valid: choose from {', '.join(DEVICES)}.", code="invalid_options"
        )
    try:
        detector_options = {name: value for name, value in options.items() if name != "device"}
        config = registry.find_trainable(algorithm).config.from_options(algorithm, detector_options | {"seed": seed})
    except DetectorError as error:
        raise UserError(str(error), code="invalid_options") from error
    # A pair, however it was written: a form shows two equal values as one.
    return options | {"window": list(config.window)}


def threshold_rule(*, percentile: float | None = None, false_reject_rate: float | None = None) -> dict[str, Any]:
    """The rule of a run's first threshold: conformal where a rate is given, else a percentile. Raises `UserError`."""
    if false_reject_rate is not None:
        if not 0 < false_reject_rate < 1:
            raise UserError("The false-reject-rate must lie between 0 and 1.", code="invalid_calibration")
        return {"method": Threshold.Method.CONFORMAL, "false_reject_rate": false_reject_rate}
    value = settings.THRESHOLD_PERCENTILE if percentile is None else percentile
    if not 1.0 <= value <= 100.0:
        raise UserError("The percentile must be from 1 to 100.", code="invalid_calibration")
    return {"method": Threshold.Method.PERCENTILE, "percentile": value}
