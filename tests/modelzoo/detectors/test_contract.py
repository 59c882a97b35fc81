"""What every registered detector promises; a new one passes these tests before it is one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.selection import RUNTIMES, open_scorer
from modelzoo.detectors.errors import DetectorError, NotComparable, TooFewImages, TrainingCancelled
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from modelzoo.detectors.preprocessing.input_rules import InputRules
from tests.modelzoo.detectors.conftest import ImagesInMemory, TensorSource, textured, with_defect

# Small and quick; height and width differ, so that nobody mixes them up.
SIZE = (64, 96)
QUICK: dict[str, dict[str, Any]] = {
    "padim": {"backbone": "efficientnet_lite0", "n_features": 20, "sigma": 2},
    "patchcore": {"backbone": "efficientnet_lite0", "sigma": 2},
    "autoencoder": {"epochs": 15, "latent_dim": 16, "learning_rate": 3e-4, "batch_size": 8, "sigma": 2},
}
# What changes so much of a detector that all of the contract is at stake: its algorithm and options.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{algorithm: (algorithm, options) for algorithm, options in QUICK.items()},
    "padim in tiles": ("padim", QUICK["padim"] | {"tile": 64, "tile_overlap": 32}),
    "patchcore in tiles": ("patchcore", QUICK["patchcore"] | {"tile": 64, "tile_overlap": 32}),
}


def create(variant: str, **options) -> Detector:
    algorithm, own = VARIANTS[variant]
    return registry.create(algorithm, device="cpu", **({"image_size": SIZE} | own | options))


def test_every_registered_detector_is_under_contract():
    assert set(QUICK) == set(registry.names())


@pytest.fixture(scope="module", params=sorted(VARIANTS))
def algorithm(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(algorithm):
    return create(algorithm).fit(TensorSource(textured(24, *SIZE)))


def test_scores_and_maps(fitted):
    scored = fitted.score(textured(3, *SIZE, seed=3))
    assert scored.scores.dtype == scored.maps.dtype == np.float32
    assert scored.scores.shape == (3,)
    assert scored.maps.shape == (3, *SIZE)
    np.testing.assert_array_equal(scored.scores, scored.maps.max(axis=(1, 2)))
    assert np.isfinite(scored.maps).all()


def test_a_defect_scores_higher_than_every_good_part(fitted):
    good = textured(10, *SIZE, seed=3)
    assert fitted.score(with_defect(good)).scores.min() > fitted.score(good).scores.max()
    assert fitted.score(with_defect(good)).scores.min() > fitted.held_out_scores.max()


def test_the_batch_an_image_is_in_does_not_matter(fitted):
    images = textured(5, *SIZE, seed=4)
    together = fitted.score(images).scores
    alone = [fitted.score(image[None]).scores[0] for image in images]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_an_empty_batch_gives_an_empty_answer(fitted):
    scored = fitted.score(torch.zeros(0, 3, *SIZE, dtype=torch.uint8))
    assert scored.scores.shape == (0,)
    assert scored.maps.shape == (0, *SIZE)


def test_held_out_scores(fitted):
    scores = fitted.held_out_scores
    assert scores.dtype == np.float64
    assert 1 <= len(scores) <= 24
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_a_seed_gives_the_same_model_again(algorithm, fitted):
    again = create(algorithm).fit(TensorSource(textured(24, *SIZE)))
    assert again.state().keys() == fitted.state().keys()
    for name, tensor in again.state().items():
        assert torch.equal(tensor, fitted.state()[name]), name
    other = create(algorithm, seed=1).fit(TensorSource(textured(24, *SIZE)))
    assert not np.array_equal(other.score(textured(1, *SIZE)).scores, fitted.score(textured(1, *SIZE)).scores)


def test_fitting_leaves_the_global_random_state_alone(algorithm):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    create(algorithm).fit(TensorSource(textured(4, *SIZE)))
    assert torch.equal(torch.rand(3), expected)


def test_state_and_description_restore_it(fitted):
    description = json.loads(json.dumps(fitted.describe(), allow_nan=False))
    again = type(fitted).restore(description, fitted.state())
    images = textured(2, *SIZE, seed=6)
    np.testing.assert_array_equal(again.score(images).maps, fitted.score(images).maps)
    np.testing.assert_array_equal(again.held_out_scores, fitted.held_out_scores)
    assert again.describe() == fitted.describe()


def test_it_knows_pictures_of_another_kind(algorithm, tmp_path):
    """Also once it is restored; and an artifact without a profile, as older releases made them, judges all."""
    images = [Image.fromarray(array) for array in textured(12, *SIZE).permute(0, 2, 3, 1).numpy()]
    detector = create(algorithm, illumination="none", align="none")
    detector.fit(ImagesInMemory(images, detector.preprocessing))
    good = Image.fromarray(textured(1, *SIZE, seed=8)[0].permute(1, 2, 0).numpy())
    info = artifacts.save(detector, tmp_path / "model", {})
    for judging in (detector, artifacts.load(info.path, info.sha256)):
        assert judging.prepare(good, InputRules()).findings == ()
        with pytest.raises(NotComparable) as refusal:
            judging.prepare(good.resize((480, 64)), InputRules())
        assert refusal.value.reason == "other_aspect"
        with pytest.raises(NotComparable) as refusal:
            judging.prepare(good.transpose(Image.Transpose.TRANSPOSE).resize(good.size), InputRules())
        assert refusal.value.reason == "unlike_training"
    older = {name: tensor for name, tensor in detector.state().items() if not name.startswith("input_check.")}
    restored = type(detector).restore(detector.describe(), older)
    assert restored.input_profile is None
    assert restored.prepare(good.resize((480, 64)), InputRules()).findings == ()


def test_an_artifact_restores_it(fitted, tmp_path):
    info = artifacts.save(fitted, tmp_path / "model", {})
    again = artifacts.load(info.path, info.sha256)
    images = textured(2, *SIZE, seed=6)
    np.testing.assert_array_equal(again.score(images).maps, fitted.score(images).maps)


# Around the square of `with_defect`, which has 6 % of the picture.
IGNORED = np.zeros(SIZE, dtype=bool)
IGNORED[12:32, 28:48] = True


def as_pictures(images: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(array) for array in images.permute(0, 2, 3, 1).numpy()]


def prepared(detector: Detector, images: torch.Tensor) -> torch.Tensor:
    return torch.stack([detector.prepare(image).pixels for image in as_pictures(images)])


@pytest.fixture(scope="module")
def with_ignore_mask(algorithm):
    detector = create(algorithm, illumination="none", align="none")
    pictures = ImagesInMemory(as_pictures(textured(24, *SIZE)), detector.preprocessing)
    return detector.fit(pictures, ignore=PaintedMask(IGNORED))


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "compile"])
def test_nothing_below_an_ignore_mask_counts(with_ignore_mask, runtime):
    """In every runtime: a defect below the mask changes no bit of the map, one beside it is found as ever."""
    if runtime != "torch":
        pytest.importorskip(runtime)
    detector, scorer = with_ignore_mask, open_scorer(with_ignore_mask, runtime=runtime, precision="fp32")
    good = textured(6, *SIZE, seed=3)
    expected = scorer.score(prepared(detector, good))
    assert (expected.maps[:, IGNORED] == 0).all()
    assert (expected.maps[:, ~IGNORED] > 0).any()
    np.testing.assert_array_equal(expected.scores, expected.maps.max(axis=(1, 2)))
    np.testing.assert_allclose(expected.maps, detector.score(prepared(detector, good)).maps, rtol=2e-2, atol=2e-2)
    np.testing.assert_array_equal(scorer.score(prepared(detector, with_defect(good))).maps, expected.maps)
    if runtime != "torch":  # what is exported also covers what is ignored by itself
        np.testing.assert_array_equal(scorer.score(with_defect(good)).maps, expected.maps)
    beside = good.clone()
    beside[:, :, 44:56, 8:20] = 250
    assert scorer.score(prepared(detector, beside)).scores.min() > expected.scores.max()


def test_good_scores_beside_an_ignore_mask_are_those_of_good_parts(with_ignore_mask, fitted):
    """The edge of the mask is no defect, and no blind spot: maps of good parts are there as high as elsewhere."""
    maps = with_ignore_mask.score(prepared(with_ignore_mask, textured(12, *SIZE, seed=9))).maps
    rim = np.zeros(SIZE, dtype=bool)
    rim[9:35, 25:51] = True
    rim &= ~IGNORED
    elsewhere = ~IGNORED & ~rim
    assert 0.5 < maps[:, rim].mean() / maps[:, elsewhere].mean() < 1.5
    assert np.median(with_ignore_mask.held_out_scores) == pytest.approx(np.median(fitted.held_out_scores), rel=0.4)


def test_an_artifact_keeps_the_ignore_mask(with_ignore_mask, tmp_path):
    info = artifacts.save(with_ignore_mask, tmp_path / "model", {})
    again = artifacts.load(info.path, info.sha256)
    images = with_defect(textured(2, *SIZE, seed=6))
    np.testing.assert_array_equal(
        again.score(prepared(again, images)).maps, with_ignore_mask.score(prepared(with_ignore_mask, images)).maps
    )
    assert again.describe() == with_ignore_mask.describe()
    assert again.describe()["preprocessing"]["ignore_mask"]["share"] == pytest.approx(IGNORED.mean())
    for name, tensor in (
        ("preprocessing.ignore_mask", torch.ones(SIZE, dtype=torch.bool)),
        ("preprocessing.ignore_mask", torch.zeros(SIZE[::-1], dtype=torch.bool)),
        ("preprocessing.ignore_fill", torch.zeros(1, 3, dtype=torch.uint8)),
    ):
        with pytest.raises(DetectorError, match="ignored"):
            type(again).restore(again.describe(), again.state() | {name: tensor})


def test_ready_pixels_take_no_ignore_mask(algorithm):
    with pytest.raises(DetectorError, match="prepared by this detector"):
        create(algorithm).fit(TensorSource(textured(4, *SIZE)), ignore=PaintedMask(IGNORED))


def test_description_says_what_it_is(algorithm, fitted):
    description = fitted.describe()
    assert description["algorithm"] == VARIANTS[algorithm][0]
    assert description["n_train"] == 24
    assert description["config"]["image_size"] == list(SIZE)
    backbone = description["backbone"]
    assert backbone is None or (set(backbone) == {"name", "source", "sha256"} and len(backbone["sha256"]) == 64)


def test_progress_rises_to_one(algorithm):
    told: list[tuple[float, str]] = []
    create(algorithm).fit(TensorSource(textured(8, *SIZE)), progress=lambda *step: told.append(step))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= 0.1
    assert fractions[-1] == 1.0
    assert all(sentence for _, sentence in told)


@pytest.mark.parametrize("when", [0.0, 0.3, 0.7])
def test_progress_can_cancel(algorithm, when):
    def stop(fraction: float, sentence: str) -> None:
        if fraction >= when:
            raise TrainingCancelled("enough")

    detector = create(algorithm)
    with pytest.raises(TrainingCancelled, match="enough"):
        detector.fit(TensorSource(textured(8, *SIZE)), progress=stop)
    with pytest.raises(DetectorError, match="not fitted"):
        detector.score(textured(1, *SIZE))


def test_unfitted_detectors_say_so(algorithm, tmp_path):
    detector = create(algorithm)
    for act in (
        lambda: detector.score(textured(1, *SIZE)),
        lambda: detector.held_out_scores,
        detector.state,
        lambda: artifacts.save(detector, tmp_path / "model", {}),
    ):
        with pytest.raises(DetectorError, match="not fitted"):
            act()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(1, 1, *SIZE, dtype=torch.uint8),
        torch.zeros(3, *SIZE, dtype=torch.uint8),
        torch.zeros(1, 3, *SIZE),
    ],
    ids=["size", "channels", "no batch", "float"],
)
def test_wrong_images_are_refused(fitted, images):
    with pytest.raises(DetectorError, match="Expected uint8"):
        fitted.score(images)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images_are_refused(algorithm, n):
    with pytest.raises(TooFewImages):
        create(algorithm).fit(TensorSource(textured(n, *SIZE)))


def test_two_images_are_enough(algorithm):
    detector = create(algorithm).fit(TensorSource(textured(2, *SIZE)))
    assert np.isfinite(detector.held_out_scores).all()


def test_prepare_resizes_and_leads_back(algorithm):
    detector = create(algorithm)
    image = Image.effect_noise((300, 200), 50).convert("RGB")
    prepared = detector.prepare(image)
    assert prepared.pixels.shape == (3, *SIZE)
    assert prepared.pixels.dtype == torch.uint8
    assert prepared.frame.to_original(np.zeros(SIZE, dtype=np.float32)).shape == (200, 300)


def test_its_input_can_have_the_images_own_size(algorithm, tmp_path):
    """Here 72x110 pixels, most of them: to the nearest sixteens. The artifact knows it."""
    images = [Image.fromarray(array) for array in textured(8, 72, 110).permute(0, 2, 3, 1).numpy()]
    images[3] = images[3].resize((130, 90))
    detector = create(algorithm, image_size="native")
    detector.fit(ImagesInMemory(images, detector.preprocessing))
    info = artifacts.save(detector, tmp_path / "model", {})
    for judging in (detector, artifacts.load(info.path, info.sha256)):
        assert judging.config.as_dict()["image_size"] == "native"
        assert judging.input_size == (64, 112)
        assert judging.prepare(images[0]).pixels.shape == (3, 64, 112)
    size = detector.preprocessing.decisions["size"]
    assert size["chosen"] == "112x64"
    assert "110x72" in size["because"]
    assert "12 %" in size["because"]
    with pytest.raises(DetectorError, match="native"):
        create(algorithm, image_size="native").fit(TensorSource(textured(4, *SIZE)))


def test_moving_to_the_device_it_is_on_changes_nothing(fitted):
    images = textured(1, *SIZE, seed=7)
    before = fitted.score(images).maps
    np.testing.assert_array_equal(fitted.to("cpu").score(images).maps, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device on this machine")
def test_a_gpu_scores_as_the_cpu_does(fitted):
    images = textured(4, *SIZE, seed=8)
    expected = fitted.score(images).maps
    on_gpu = type(fitted).restore(fitted.describe(), fitted.state(), "cuda").score(images).maps
    np.testing.assert_allclose(on_gpu, expected, rtol=1e-2, atol=1e-2 * expected.max())
