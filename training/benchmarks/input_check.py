"""How well pictures of another kind are told: `python -m training.benchmarks.input_check FOLDER ...`.

Takes folders of categories in MVTec layout. Each one's profile is learnt from its `train/` images as a training run
does it; then come its own test images and those of all other categories. Prints one line for each category: the shares
that would be not comparable, by likeness alone and by all checks together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.options import PadimConfig
from modelzoo.detectors.preprocessing.input_check import Finding, InputProfile, exemplars, view_of
from modelzoo.detectors.preprocessing.input_rules import OFF, InputRules
from modelzoo.detectors.preprocessing.pipeline import Preprocessing
from records.assets.images import UploadLimits, open_pixels
from training.datasets.layouts.entries import CategoryScan
from training.datasets.layouts.scan import scan

_LIKENESS = replace(InputRules(), size=OFF, aspect=OFF, colour=OFF)


@dataclass
class Outcome:
    """Of a group of pictures: how many there are, and how many are refused by likeness and by any check."""

    n: int = 0
    unlike: int = 0
    refused: int = 0

    def add(self, unlike: bool, refused: bool) -> None:
        self.n += 1
        self.unlike += unlike
        self.refused += refused

    def __str__(self) -> str:
        return f"{self.unlike / max(1, self.n):6.1%} {self.refused / max(1, self.n):6.1%}"


class ProfiledCategory:
    """The profile of one category, with the preprocessing that the detectors would choose for it."""

    def __init__(self, category: CategoryScan, limits: UploadLimits) -> None:
        options = PadimConfig()
        self.preprocessing = Preprocessing(*options.image_size, illumination=options.illumination, align=options.align)
        good = [entry.absolute_path for entry in category.entries if entry.split == "train"]
        source = FileImageSource(good, self.preprocessing, open_image=lambda path: open_pixels(path, limits))
        self.preprocessing.fit(source)
        self.profile = InputProfile.learn(source.map(self.preprocessing.summarise, exemplars(len(source))))

    def findings(self, image: Image.Image) -> tuple[list[Finding], list[Finding]]:
        """By likeness alone, and by all checks."""
        rules = InputRules()
        try:
            view = self.preprocessing.prepare(image).view
        except NotComparable:
            # Refused for its pose, whatever the picture as a whole looks like: that is asked here all the same.
            plain = Preprocessing(256, 256)
            view = view_of(plain.prepare(image).pixels.permute(1, 2, 0).numpy())
        assert view is not None, "an image that was decoded has one"
        distance = self.profile.distance(view)
        likeness = self.profile.check_content(image, distance, _LIKENESS)
        return likeness, self.profile.check_frame(image, rules) + self.profile.check_content(image, distance, rules)


def measure(folders: Iterable[Path]) -> None:
    """Print the table."""
    limits = UploadLimits()
    categories = [category for folder in folders for category in scan(folder, limits)]
    tests = {
        category.name: [
            (entry.is_defective, open_pixels(entry.absolute_path, limits))
            for entry in category.entries
            if entry.split == "test"
        ]
        for category in categories
    }
    print("likeness alone, all checks:      own good        own defective   others (worst one by likeness)")  # noqa: T201
    for category in categories:
        began = time.monotonic()
        profiled = ProfiledCategory(category, limits)
        fit_seconds = time.monotonic() - began
        groups: dict[str, Outcome] = {}
        for name, images in tests.items():
            for is_defective, image in images:
                group = ("defective" if is_defective else "good") if name == category.name else name
                likeness, findings = profiled.findings(image)
                groups.setdefault(group, Outcome()).add(bool(likeness), bool(findings))
        others = [outcome for group, outcome in groups.items() if group not in ("good", "defective")]
        total = Outcome(*(sum(getattr(other, key) for other in others) for key in ("n", "unlike", "refused")))
        worst = min(
            (outcome.unlike / outcome.n, group)
            for group, outcome in groups.items()
            if group not in ("good", "defective")
        )
        limit = profiled.profile.limit
        print(  # noqa: T201
            f"{category.name:16} {len(profiled.profile.sizes):4} images, limit {limit.value or np.nan:.2f} "
            f"{groups.get('good', Outcome())}   {groups.get('defective', Outcome())}   {total}  "
            f"{worst[1]} {worst[0]:.1%}  ({fit_seconds:.1f} s)",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    measure(parser.parse_args().folders)
