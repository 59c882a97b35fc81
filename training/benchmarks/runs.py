"""Detectors fitted on data sets for a benchmark: by the product's own code, without leaving versions behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from common.errors import UserError
from modelzoo.detectors import registry
from modelzoo.detectors.base import Detector, no_progress
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import AUTO
from training.models import DatasetImage
from training.runs.execution.runner import decoded_images, source_of
from training.runs.options import complete_options, option_names
from training.runs.selection.worker import select_detector


@dataclass(frozen=True)
class Contestant:
    """A detector with its options, as it is named on the command line: `autoencoder:skip_connections=true,epochs=25`.

    Attributes:
        name: the text that was given.
        algorithm: of the registry, or `auto`.
        options: what was given, beside the defaults.
    """

    name: str
    algorithm: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Contestant:
        """Raises `UserError` for what is not of that form, or is no detector or option."""
        algorithm, _, options_text = text.partition(":")
        options: dict[str, Any] = {}
        for pair in filter(None, options_text.split(",")):
            name, equals, value = pair.partition("=")
            if not equals:
                raise UserError(f"{pair!r} in {text!r} is not of the form name=value.")
            options[name] = _value(value)
        contestant = cls(text, algorithm, options)
        if algorithm == AUTO:
            complete_options(algorithm=AUTO, values=options, seed=0)
        else:
            contestant.detector(seed=0, defaults={})
        return contestant

    def fitted(self, images: list[DatasetImage], *, seed: int, defaults: Mapping[str, Any]) -> Detector:
        """Fitted on good images; `auto` first chooses a detector on them, as `train --model auto` does."""
        if self.algorithm == AUTO:
            names = option_names(AUTO)
            shared = {name: value for name, value in defaults.items() if name in names}
            detector, _ = select_detector(
                decoded_images(images),
                options=complete_options(algorithm=AUTO, values=shared | dict(self.options), seed=seed),
                seed=seed,
                rate=1 - settings.THRESHOLD_PERCENTILE / 100,
                progress=no_progress,
            )
        else:
            detector = self.detector(seed=seed, defaults=defaults)
        return detector.fit(source_of(images, detector))

    def detector(self, *, seed: int, defaults: Mapping[str, Any]) -> Detector:
        """Unfitted; `defaults` apply where the detector has such an option."""
        try:
            names = registry.options_for(self.algorithm)
            options = {name: value for name, value in defaults.items() if name in names} | dict(self.options)
            return registry.create(self.algorithm, **(options | {"seed": seed}))
        except DetectorError as error:
            raise UserError(str(error)) from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
