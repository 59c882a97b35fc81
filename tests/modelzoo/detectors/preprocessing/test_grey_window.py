"""The window of 16-bit images: decided from good images, kept with the model, the same wherever it is applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.pixels.sixteen_bit import histogram
from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.preprocessing.grey_window import DECIDE, GreyWindow, decide_window
from modelzoo.detectors.preprocessing.input_rules import OFF, WARN, InputRules
from modelzoo.detectors.preprocessing.pipeline import Preprocessing
from tests.modelzoo.detectors.conftest import ImagesInMemory

SIDE = 64


def narrow(seed: int, *, low: int = 800, high: int = 1200) -> Image.Image:
    """A 16-bit picture whose values lie in a small part of the range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    share = 0.5 + 0.4 * np.sin(x / 6) * np.cos(y / 9) + rng.normal(0, 0.01, (SIDE, SIDE))
    return Image.fromarray((low + share.clip(0, 1) * (high - low)).astype(np.uint16))


def as_eight_bit(image: Image.Image, low: int, high: int) -> Image.Image:
    values = (np.asarray(image).astype(np.float64).clip(low, high) - low) * 255 / (high - low)
    return Image.fromarray(np.floor(values + 0.5).astype(np.uint8)).convert("RGB")


def fitted(images: list[Image.Image], **options: object) -> Preprocessing:
    preprocessing = Preprocessing(32, 32, **options)  # type: ignore[arg-type]
    return preprocessing.fit(ImagesInMemory(images, preprocessing))


def test_the_window_is_decided_from_the_good_images_with_room_for_defects() -> None:
    preprocessing = fitted([narrow(seed) for seed in range(6)])
    window = preprocessing.window
    assert window is not None
    assert 780 <= window.low < 850
    assert 1150 < window.high <= 1220
    decision = preprocessing.decisions["window"]
    assert (decision["low"], decision["high"]) == window.bounds
    assert decision["levels"] > 200


def test_what_is_prepared_is_what_the_same_picture_in_eight_bits_gives() -> None:
    preprocessing = fitted([narrow(seed) for seed in range(6)])
    assert preprocessing.window is not None
    eight_bit = Preprocessing(32, 32)
    image = narrow(50)
    expected = eight_bit.prepare(as_eight_bit(image, *preprocessing.window.bounds)).pixels
    assert bool((preprocessing.prepare(image).pixels == expected).all())


def test_eight_bit_images_need_no_window() -> None:
    preprocessing = fitted([as_eight_bit(narrow(seed), 800, 1200) for seed in range(4)], window_option=(5, 500))
    assert preprocessing.window is None
    assert "window" not in preprocessing.decisions


def test_a_sixteen_bit_picture_without_a_window_is_not_comparable() -> None:
    preprocessing = fitted([as_eight_bit(narrow(seed), 800, 1200) for seed in range(4)])
    with pytest.raises(NotComparable) as refusal:
        preprocessing.prepare(narrow(9))
    assert refusal.value.reason == "sixteen_bit_picture"


def test_a_window_that_was_asked_for_is_taken_and_too_few_levels_are_said() -> None:
    counts = [histogram(narrow(seed)) for seed in range(3)]
    window, decision = decide_window(counts, (0, 65535), has_eight_bit=False)
    assert window.bounds == (0, 65535)
    assert decision["levels"] < 5
    assert "grey levels" in decision["because"]
    _, decided = decide_window(counts, DECIDE, has_eight_bit=False)
    assert "grey levels" not in decided["because"]
    coarse = np.zeros(65536, np.int64)
    coarse[800:1200:20] = 100
    assert "grey levels" not in decide_window([coarse], DECIDE, has_eight_bit=False)[1]["because"]


@pytest.mark.parametrize("window", [(5, 5), (9, 3), (0, 70000), (-1, 5)])
def test_a_window_that_is_none_is_refused(window: tuple[int, int]) -> None:
    with pytest.raises(DetectorError, match="window"):
        registry.create("padim", window=window)


def test_pictures_outside_the_window_and_of_the_other_depth_are_said() -> None:
    rules = InputRules()
    window = GreyWindow(800, 1200)
    assert window.check_sixteen_bit(narrow(1)) == []
    [clipped] = window.check_sixteen_bit(narrow(1, low=1000, high=1500))
    assert (clipped.code, clipped.refused) == ("outside_window", False)
    [other] = window.check_eight_bit(rules)
    assert (other.code, other.refused) == ("eight_bit_picture", True)
    assert not window.check_eight_bit(InputRules(colour=WARN))[0].refused
    assert window.check_eight_bit(InputRules(colour=OFF)) == []
    assert GreyWindow(800, 1200, has_eight_bit=True).check_eight_bit(rules) == []


def test_a_detector_keeps_the_window_in_its_artifact_and_scores_as_before(tmp_path: Path) -> None:
    files = []
    for seed in range(8):
        files.append(tmp_path / f"{seed}.png")
        narrow(seed).save(files[-1])
    options: dict[str, Any] = {"backbone": "efficientnet_lite0", "image_size": SIDE, "n_features": 20, "device": "cpu"}
    detector = registry.create("padim", **options)
    detector.fit(FileImageSource(files, detector.preprocessing, open_image=_opened))
    artifacts.save(detector, tmp_path / "model", {})
    again = artifacts.load(tmp_path / "model")
    assert again.window == detector.window is not None
    image, rules = narrow(99), InputRules()
    scores = [float(model.score(model.prepare(image, rules).pixels[None]).scores[0]) for model in (detector, again)]
    assert scores[0] == scores[1]
    findings = again.prepare(narrow(99, low=1100, high=1600), InputRules(likeness=OFF)).findings
    assert [finding.code for finding in findings] == ["outside_window"]
    with pytest.raises(NotComparable) as refusal:
        again.prepare(as_eight_bit(image, 800, 1200), rules)
    assert refusal.value.reason == "eight_bit_picture"


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()
