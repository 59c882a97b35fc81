"""Pictures that a model cannot judge: told from the training images alone, without calling defects strangers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.preprocessing.input_check import (
    EXEMPLARS,
    InputProfile,
    LikenessLimit,
    exemplars,
    raise_if_refused,
)
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import Preprocessing
from tests import parts

PREPROCESSING = Preprocessing(64, 64)


def good(seed: int, *, side: int = 96, colour: bool = True) -> Image.Image:
    """A disc on a plain ground, tinted or grey."""
    image = parts.part(seed)[0].resize((side, side))
    tint = np.array([1.0, 0.8, 0.6]) if colour else 1.0
    pixels = np.asarray(image, dtype=np.float64)
    pixels = pixels.mean(axis=2, keepdims=True) * tint * np.ones(3)
    return Image.fromarray(pixels.astype(np.uint8))


def learnt(images: list[Image.Image]) -> InputProfile:
    return InputProfile.learn(PREPROCESSING.summarise(image) for image in images)


@pytest.fixture(scope="module")
def profile() -> InputProfile:
    return learnt([good(seed) for seed in range(20)])


def codes(profile: InputProfile, image: Image.Image, rules: InputRules | None = None) -> list[str]:
    rules = rules or InputRules()
    findings = profile.check_frame(image, rules)
    view = PREPROCESSING.prepare(image).view
    assert view is not None
    findings += profile.check_content(image, profile.distance(view), rules)
    return [finding.code for finding in findings]


def test_good_parts_and_defects_of_any_size_are_judged(profile: InputProfile) -> None:
    for seed in range(100, 120):
        assert codes(profile, good(seed)) == []
    for share in (0.1, 0.25, 0.4):
        broken = good(130)
        ImageDraw.Draw(broken).rectangle((0, 0, round(96 * share), 96), fill=(20, 5, 5))
        assert codes(profile, broken) == [], f"{share:.0%} of the part is missing"
    assert codes(profile, good(131, side=192)) == [], "a camera with more pixels"
    assert codes(profile, good(131).resize((98, 96))) == [], "a row that was cut off"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (good(200).resize((853, 64)), ["other_aspect"]),
        (good(200).resize((128, 96)), ["other_aspect"]),
        (good(200).resize((800, 800)), ["other_size"]),
        (good(200).resize((12, 12)), ["other_size"]),
    ],
)
def test_other_sizes_and_shapes_are_not_comparable(
    profile: InputProfile, other: Image.Image, expected: list[str]
) -> None:
    rules = InputRules(likeness="off", colour="off")
    assert codes(profile, other, rules) == expected
    assert codes(profile, other, InputRules(size="off", aspect="off", likeness="off", colour="off")) == []


def test_grey_and_coloured_pictures_are_told_apart(profile: InputProfile) -> None:
    rules = InputRules(likeness="off")
    grey = learnt([good(seed, colour=False) for seed in range(20)])
    assert codes(profile, good(300, colour=False), rules) == ["grey_picture"]
    assert codes(grey, good(300), rules) == ["coloured_picture"]
    both = learnt([good(seed, colour=seed % 2 == 0) for seed in range(20)])
    assert codes(both, good(300), rules) == codes(both, good(300, colour=False), rules) == []


def test_a_picture_of_another_kind_is_a_stranger(profile: InputProfile) -> None:
    rng = np.random.default_rng(0)
    stripes = np.tile((np.arange(96) // 6 % 2 * 120 + 60)[None, :, None], (96, 1, 3))
    others = [stripes, stripes.transpose(1, 0, 2), rng.integers(0, 256, (96, 96, 3)), np.full((96, 96, 3), 250)]
    for pixels in others:
        image = Image.fromarray((pixels * np.array([1.0, 0.8, 0.6])).astype(np.uint8))
        assert codes(profile, image) == ["unlike_training"]
        assert codes(profile, image, InputRules(likeness_factor=100.0)) == []


def test_images_of_several_sizes_and_shapes_may_come_in_others_too() -> None:
    mixed = learnt([good(seed).resize((96, 96 - 4 * (seed % 5))) for seed in range(20)])
    rules = InputRules(likeness="off")
    assert codes(mixed, good(400).resize((96, 86)), rules) == []
    assert codes(mixed, good(400).resize((96, 40)), rules) == ["other_aspect"]


def test_what_follows_is_a_rule(profile: InputProfile) -> None:
    stretched = good(500).resize((400, 96))
    with pytest.raises(NotComparable) as refusal:
        raise_if_refused(profile.check_frame(stretched, InputRules()))
    assert refusal.value.reason == "other_aspect"
    assert "400 x 96 pixels" in str(refusal.value)
    assert "96 x 96" in str(refusal.value)
    [finding] = profile.check_frame(stretched, InputRules(aspect="warn"))
    raise_if_refused([finding])
    assert finding.as_dict()["code"] == "other_aspect"


def test_a_profile_is_restored_from_its_tensors(profile: InputProfile) -> None:
    again = InputProfile.restore(profile.tensors())
    assert again.describe() == profile.describe()
    view = PREPROCESSING.prepare(good(600)).view
    assert view is not None
    assert again.distance(view) == profile.distance(view)


def test_what_is_learnt_later_is_known_too(profile: InputProfile) -> None:
    wide = [good(seed).resize((192, 96)) for seed in range(700, 720)]
    assert codes(profile, wide[0])
    merged_with = profile.merged_with(learnt(wide))
    assert codes(merged_with, good(721).resize((192, 96))) == codes(merged_with, good(722)) == []


@given(st.lists(st.floats(min_value=0, max_value=50), min_size=5, max_size=60))
def test_the_limit_lies_beyond_all_held_out_images_and_states_its_false_alarms(distances: list[float]) -> None:
    limit = LikenessLimit.learn(np.array(distances))
    assert limit.value is not None
    assert limit.value >= 1.25 * max(distances)
    assert limit.estimated_rate is not None
    assert 0 <= limit.estimated_rate <= 0.001 * (1 + 1e-9)
    assert limit.guaranteed_rate == 1 / (len(distances) + 1)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_of_too_few_images_no_limit_is_made_up(n: int) -> None:
    few = learnt([good(seed) for seed in range(n)])
    assert few.limit.value is None
    assert codes(few, Image.new("RGB", (96, 96), (200, 160, 120))) == []
    assert codes(few, good(800).resize((400, 96))) == ["other_aspect"], "shape needs one image only"


def test_many_images_are_thinned_out_evenly() -> None:
    assert exemplars(3) == [0, 1, 2]
    chosen = exemplars(10_000)
    assert len(chosen) == EXEMPLARS
    assert (chosen[0], chosen[-1]) == (0, 9999)
