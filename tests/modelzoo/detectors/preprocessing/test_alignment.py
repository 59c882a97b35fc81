"""Illumination, pose and region on parts whose lamp and pose are known, and the decisions about them."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.preprocessing import pipeline as preprocessing
from modelzoo.detectors.preprocessing.choice import residual_variance_ratio
from modelzoo.detectors.preprocessing.illumination import Background
from modelzoo.detectors.preprocessing.pipeline import Preprocessing

SIDE = 192
# A nail: a wide head at one end, a point at the other, and a mark at one third of its length. Millimetres from the
# middle, the axis along x.
OUTLINE = np.array([[-60, -18], [-50, -18], [-44, -8], [40, -8], [62, 0], [40, 8], [-44, 8], [-50, 18], [-60, 18]])
MARK = np.array([[-20, -5], [-12, -5], [-12, 5], [-20, 5]])


def matrix(angle: float, x: float, y: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, x], [s, c, y], [0, 0, 1]])


def nail(
    angle: float = 0.0, x: float = 96.0, y: float = 96.0, *, lamp: float = 1.0, slope: float = 0.0, seed: int = 0
) -> Image.Image:
    """A picture of the part: dark before a bright background, under a lamp of some strength and gradient."""
    pose = matrix(angle, x, y)[:2]
    picture = np.full((SIDE, SIDE), 180.0, np.float32)
    for outline, grey in ((OUTLINE, 70.0), (MARK, 110.0)):
        corners = cv2.transform(outline[None].astype(np.float64), pose)
        cv2.fillPoly(picture, [np.round(corners * 16).astype(np.int32)], grey, cv2.LINE_AA, 4)
    columns = np.linspace(-1, 1, SIDE)[None, :]
    lit = cv2.GaussianBlur(picture, (0, 0), 0.7) * lamp * (1 + slope * columns)
    lit = lit + np.random.default_rng(seed).normal(0, 1.5, lit.shape)
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).convert("RGB")


class Pictures:
    """Images in memory as originals."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def map(self, function, indices=None):
        return (function(self.images[i]) for i in (range(len(self)) if indices is None else indices))


def lying_anywhere(n: int = 24, seed: int = 1, **lamp) -> list[Image.Image]:
    random = np.random.default_rng(seed)
    return [
        nail(random.uniform(-math.pi, math.pi), *random.uniform(86, 106, 2), lamp=random.uniform(0.85, 1.1), seed=i)
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def aligned() -> Preprocessing:
    return Preprocessing(128, 128, illumination="auto", align="auto").fit(Pictures(lying_anywhere()))


def test_the_background_is_found_beside_a_large_dark_part():
    columns, rows = np.linspace(-1, 1, 128)[None, :], np.linspace(-1, 1, 96)[:, None]
    truth = 150 + 20 * columns - 10 * rows + 8 * columns**2 + 5 * columns * rows
    picture = truth + np.random.default_rng(0).normal(0, 2, truth.shape)
    picture[20:80, 30:100] = 40
    background = Background.of(np.repeat(picture[..., None], 3, axis=2).astype(np.float32))
    assert background.is_usable
    assert np.abs(background.surface(128, 96)[..., 0] - truth).max() < 2.5
    assert background.level[0] == pytest.approx(truth.mean(), abs=1)


def test_a_texture_has_no_background():
    picture = cv2.GaussianBlur(np.random.default_rng(0).normal(128, 120, (128, 128)), (0, 0), 3)
    assert not Background.of(np.repeat(picture[..., None], 3, axis=2).astype(np.float32)).is_usable


def test_parts_that_lie_anywhere_are_aligned_and_the_lamp_is_corrected(aligned):
    decisions = aligned.decisions
    assert decisions["align"]["chosen"] == "pose"
    assert decisions["align"]["unexplained_with"] < 0.3 * decisions["align"]["unexplained_without"]
    assert decisions["illumination"]["chosen"] == "flatfield"
    height, width = aligned.size
    assert width > 2 * height
    assert 0.7 < height * width / 128**2 < 1.3
    json.dumps(aligned.describe())


@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5, -0.4, -2.0, 3.1])
def test_the_same_part_looks_the_same_in_every_pose_and_light(aligned, angle):
    reference = aligned.prepare(nail(0.3, 96, 96)).pixels.float()
    flipped = aligned.prepare(nail(angle, 90, 101, lamp=0.8, slope=0.1, seed=7)).pixels.float()
    assert (reference - flipped).abs().mean() < 4
    # The lamp alone would make a difference of 36 on the background.
    assert (reference - flipped)[0, 0].mean().abs() < 2


def test_a_grey_picture_is_prepared_as_one_in_colour_would_be(aligned, monkeypatch):
    [image] = lying_anywhere(1, seed=5)
    grey = image.convert("L").convert("RGB")
    quick = aligned.prepare(grey)
    monkeypatch.setattr(preprocessing, "_pixels", np.asarray)
    whole = aligned.prepare(grey)
    assert torch.equal(quick.pixels, whole.pixels)
    np.testing.assert_array_equal(quick.frame.matrix, whole.frame.matrix)


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (3 * SIDE, 3 * SIDE)])
def test_maps_come_back_to_where_they_were_seen(aligned, shape):
    """A bright speck on the part is found again in the original image's pixels, whatever its size."""
    pose = matrix(2.2, 92, 99)
    image = np.array(nail(2.2, 92, 99).resize(shape))
    factor = shape[0] / SIDE
    x, y = (pose @ [25, 3, 1])[:2]
    at = (round((x + 0.5) * factor - 0.5), round((y + 0.5) * factor - 0.5))
    cv2.circle(image, at, round(3 * factor), (255, 255, 255), -1)
    prepared = aligned.prepare(Image.fromarray(image))
    seen = (prepared.pixels[0].float() - 70).clamp_min(0).numpy()
    seen[np.abs(seen - seen.max()) > 40] = 0
    plain = aligned.prepare(nail(2.2, 92, 99)).pixels[0].float().numpy()
    difference = np.clip(prepared.pixels[0].numpy() - plain, 0, None)
    back = prepared.frame.to_original(difference.astype(np.float32))
    assert back.shape == shape[::-1]
    row, column = np.unravel_index(back.argmax(), back.shape)
    assert math.hypot(column - at[0], row - at[1]) < 4 * factor
    assert back[0, 0] == 0  # not looked at


def test_dirt_away_from_the_part_is_not_looked_at_but_on_it_and_beside_it(aligned):
    def change(*place: float) -> float:
        image = np.array(nail(0.0))
        cv2.circle(image, (round(96 + place[0]), round(96 + place[1])), 2, (0, 0, 0), -1)
        return float((aligned.prepare(Image.fromarray(image)).pixels.float() - clean).abs().max())

    clean = aligned.prepare(nail(0.0)).pixels.float()
    assert change(0, 26) < 8
    assert change(0, 10) > 40
    assert change(20, 0) > 25


def test_restored_preprocessing_gives_the_same_pixels(aligned):
    description = json.loads(json.dumps(aligned.describe()))
    restored = Preprocessing.restore(description, aligned.tensors())
    image = nail(1.3, 99, 92, lamp=0.9)
    assert torch.equal(aligned.prepare(image).pixels, restored.prepare(image).pixels)
    assert restored.describe() == aligned.describe()


def two_nails() -> Image.Image:
    small = [np.array(nail(0.0, 96, y)) for y in (60, 140)]
    return Image.fromarray(np.minimum(*small))


def pen() -> Image.Image:
    """A bar without ends that differ, of the same size."""
    image = np.full((SIDE, SIDE, 3), 180, np.uint8)
    cv2.rectangle(image, (35, 82), (157, 110), (70, 70, 70), -1)
    return Image.fromarray(image)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (lambda: Image.new("RGB", (SIDE, SIDE), (180, 180, 180)), "no_part_found"),
        (lambda: nail(0.0, 150, 96), "part_touches_border"),
        (two_nails, "several_parts"),
        (lambda: Image.effect_noise((SIDE, SIDE), 200).convert("RGB"), "no_background"),
        (lambda: nail(0.0).resize((2 * SIDE, 2 * SIDE)).crop((0, 0, SIDE, 2 * SIDE)), "part_touches_border"),
        (pen, "pose_ambiguous"),
    ],
)
def test_what_cannot_be_compared_says_why(aligned, picture, reason):
    with pytest.raises(NotComparable) as caught:
        aligned.prepare(picture())
    assert caught.value.reason == reason
    assert str(caught.value).endswith(".")


def test_a_part_of_another_size_is_not_comparable(aligned):
    wide = Image.new("RGB", (3 * SIDE, 3 * SIDE), (180, 180, 180))
    wide.paste(nail(0.5), (SIDE, SIDE))
    with pytest.raises(NotComparable) as caught:
        aligned.prepare(wide)
    assert caught.value.reason == "unusual_shape"


def test_a_defective_part_is_still_aligned(aligned):
    image = np.array(nail(1.0))
    cv2.line(image, (80, 60), (110, 110), (150, 150, 150), 4)
    aligned.prepare(Image.fromarray(image))


def fixtured() -> list[Image.Image]:
    return [nail(0.0, seed=i) for i in range(12)]


def textures() -> list[Image.Image]:
    random = np.random.default_rng(3)
    stripes = 128 + 60 * np.sin(np.arange(SIDE) / 3)
    return [
        Image.fromarray(np.clip(stripes[None] + random.normal(0, 12, (SIDE, SIDE)), 0, 255).astype(np.uint8)).convert(
            "RGB"
        )
        for _ in range(12)
    ]


def cells() -> list[Image.Image]:
    """Parts that fill the frame, each as dark as it is: the brightness is theirs, not the lamp's."""
    images = []
    for seed in range(12):
        image = np.full((SIDE, SIDE, 3), 90 + 4 * seed, np.uint8)
        image[:, ::48] = 20
        image[60:66] = image[126:132] = 150
        images.append(Image.fromarray(image))
    return images


def discs() -> list[Image.Image]:
    images = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        image = np.full((SIDE, SIDE, 3), 180, np.uint8)
        cv2.circle(image, tuple(int(v) for v in random.integers(80, 112, 2)), 50, (60, 60, 60), -1)
        images.append(Image.fromarray(image))
    return images


@pytest.mark.parametrize("images", [fixtured, textures, cells, discs])
def test_what_needs_no_alignment_gets_none(images):
    preprocessing = Preprocessing(64, 64, illumination="auto", align="auto").fit(Pictures(images()))
    assert preprocessing.decisions["align"]["chosen"] == "none"
    assert preprocessing.decisions["align"]["because"]
    assert preprocessing.size == (64, 64)


@pytest.mark.parametrize("images", [textures, cells])
def test_without_a_background_the_lamp_cannot_be_told_from_the_part(images):
    decision = Preprocessing(64, 64, illumination="auto").fit(Pictures(images())).decisions["illumination"]
    assert decision["chosen"] == "none"


def test_a_steady_lamp_is_left_alone():
    decision = Preprocessing(64, 64, illumination="auto").fit(Pictures(fixtured())).decisions["illumination"]
    assert decision["chosen"] == "none"
    assert "steady" in decision["because"]


def test_a_decision_needs_some_images():
    decisions = Preprocessing(64, 64, illumination="auto", align="auto").fit(Pictures(lying_anywhere(3))).decisions
    assert [decisions[step]["chosen"] for step in ("illumination", "align")] == ["none", "none"]


@pytest.mark.parametrize(
    ("options", "said"), [({"align": "pose"}, "cannot be aligned"), ({"illumination": "flatfield"}, "flat field")]
)
def test_what_was_asked_for_and_cannot_be_is_an_error(options, said):
    with pytest.raises(DetectorError, match=said):
        Preprocessing(64, 64, **options).fit(Pictures(textures()))


def test_what_was_asked_for_is_done_without_a_decision():
    preprocessing = Preprocessing(64, 96, align="pose").fit(Pictures(lying_anywhere(6)))
    assert preprocessing.size == (64, 96)
    assert preprocessing.decisions["align"]["because"] == "it was requested"
    assert preprocessing.flat_field is None


def test_a_part_has_its_own_size_in_an_input_of_the_images_own():
    """The nail is 122 pixels long and 36 wide, whatever the picture around it."""
    for shrink in (1, 2):
        images = [nail.resize((SIDE // shrink, SIDE // shrink)) for nail in lying_anywhere(12)]
        preprocessing = Preprocessing(0, 0, align="pose").fit(Pictures(images))
        assert preprocessing.decisions["size"]["chosen"] == f"{SIDE // shrink}x{SIDE // shrink}"
        height, width = preprocessing.size
        assert 122 / shrink < width < 1.5 * 122 / shrink + 16
        assert 36 / shrink < height < 2 * 36 / shrink + 16
        assert preprocessing.prepare(images[0]).pixels.shape == (3, height, width)


@pytest.mark.parametrize(
    ("width", "height", "chosen"), [(4096, 256, "4096x256"), (300, 200, "304x192"), (8000, 8000, "2048x2048")]
)
def test_the_images_own_size_keeps_their_aspect_and_has_a_limit(width, height, chosen):
    preprocessing = Preprocessing(0, 0).fit(Pictures([Image.new("RGB", (width, height))] * 2))
    assert preprocessing.decisions["size"]["chosen"] == chosen
    assert ("reduced" in preprocessing.decisions["size"]["because"]) is (width == 8000)
    assert preprocessing.size == tuple(int(side) for side in reversed(chosen.split("x")))


def test_good_images_that_cannot_be_compared_are_named(aligned):
    blank = Image.new("RGB", (SIDE, SIDE), (180, 180, 180))
    images = lying_anywhere(3)
    images.insert(1, blank)
    assert list(aligned.comparable(Pictures(images))) == [True, False, True, True]
    assert aligned.excluded == [{"image": 1, "reason": "no_part_found"}]
    assert list(aligned.comparable(Pictures(images[:1]))) == [True]


def test_a_region_is_cut_out_and_maps_find_their_place_again():
    image = np.zeros((100, 200, 3), np.uint8)
    image[60:70, 150:160] = 255
    preprocessing = Preprocessing(40, 40, region=(0.5, 0.5, 1, 1))
    prepared = preprocessing.prepare(Image.fromarray(image))
    back = prepared.frame.to_original(prepared.pixels[0].numpy().astype(np.float32))
    assert back.shape == (100, 200)
    assert back[64, 155] > 200
    assert not back[:50].any()
    assert not back[:, :100].any()


def test_unexplained_against_a_loop():
    views = np.random.default_rng(0).normal(0, 1, (5, 6, 7, 3)) + np.arange(7)[:, None]
    left = sum(((views[i] - np.delete(views, i, axis=0).mean(axis=0)) ** 2).sum() for i in range(5))
    whole = sum(((view - views.mean(axis=(0, 1, 2))) ** 2).sum() for view in views)
    assert residual_variance_ratio(list(views)) == pytest.approx(left / whole)


# ---------------------------------------------------------------- pictures of several sizes and shapes
def test_good_images_of_several_shapes_are_compared_at_one_size():
    pictures = [
        picture.crop((0, 8, SIDE, SIDE - 8)) if index % 2 else picture
        for index, picture in enumerate(lying_anywhere(12))
    ]
    found = Preprocessing(128, 128, illumination="auto", align="auto").fit(Pictures(pictures))
    assert found.decisions["align"]["chosen"] == "pose"
    assert {found.prepare(picture).pixels.shape for picture in pictures} == {(3, *found.size)}


@pytest.mark.parametrize(
    "images",
    [
        [nail()],
        [nail(), nail(0.5)],
        [nail(angle).resize((640, 40)) for angle in np.linspace(0, 3, 6)],
        [nail(angle).resize((16 + index, 9)) for index, angle in enumerate(np.linspace(0, 3, 6))],
        [Image.new("RGB", (64 + 32 * (index % 2), 64), (120, 40 * index, 90)) for index in range(6)],
    ],
    ids=["one", "two", "line scans", "smaller than the model", "coloured and plain"],
)
def test_no_good_images_break_the_decisions(images):
    found = Preprocessing(128, 128, illumination="auto", align="auto").fit(Pictures(images))
    assert set(found.decisions) == {"illumination", "align"}
