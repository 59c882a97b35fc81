"""Settings of a system whose worker dies of one picture, as of a defect in a library: SIGSEGV while it is prepared.

No picture is known that does this to the libraries that are installed; the death itself is real. Named by
DJANGO_SETTINGS_MODULE, and an app whose start puts the defect in.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from django.apps import AppConfig
from PIL import Image

from mvtec_site.settings import *  # noqa: F403
from mvtec_site.settings import INSTALLED_APPS as _APPS

COLOUR = (255, 0, 255)  # of the pixel in the corner


class Poisoned(AppConfig):
    name = "tests.resilience"
    label = "poisoned"

    def ready(self) -> None:
        from modelzoo.detectors.base import Detector

        prepare = Detector.prepare

        def prepare_or_die(self: Detector, image: Image.Image, *arguments: Any, **options: Any) -> Any:
            if image.convert("RGB").getpixel((0, 0)) == COLOUR:
                os.kill(os.getpid(), signal.SIGSEGV)
            return prepare(self, image, *arguments, **options)

        Detector.prepare = prepare_or_die  # type: ignore[method-assign]


INSTALLED_APPS = [*_APPS, "tests.resilience.poisoned.Poisoned"]
