"""Options are checked, and nothing is ignored silently."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from modelzoo.detectors import options, registry
from modelzoo.detectors.backbones.weights import PUBLISHED
from modelzoo.detectors.base import resolve_device
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.options import SelectionConfig
from modelzoo.detectors.padim.detector import Padim


def test_names_and_options_of_both_detectors():
    assert {"padim", "autoencoder"} <= set(registry.names())
    assert {"backbone", "image_size", "batch_size", "seed", "device", "n_features"} <= registry.options_for("padim")
    assert "epochs" not in registry.options_for("padim")
    assert {"epochs", "latent_dim", "learning_rate", "skip_connections", "seed", "device"} <= registry.options_for(
        "autoencoder"
    )


def test_the_options_that_the_web_checks_are_those_of_the_detectors():
    for name, algorithm in registry.ALGORITHMS.items():
        detector = registry.detector_class(name)
        assert (detector.algorithm, detector.config_class) == (name, algorithm.config)
    assert {options.AUTO, *PUBLISHED} == set(options.BACKBONE_NAMES)
    with pytest.raises(DetectorError, match="no detector called 'yolo'; there are autoencoder, padim, patchcore"):
        registry.find("yolo")


def test_create_converts_harmlessly_and_keeps_the_rest_at_its_default():
    detector = registry.create("padim", image_size=128, sigma=2, layers=["layer1"], n_features=8, device="cpu")
    assert detector.config.image_size == (128, 128)
    assert isinstance(detector.config.sigma, float)
    assert isinstance(detector, Padim)
    assert detector.config.layers == ("layer1",)
    assert detector.config.batch_size == 16
    assert registry.create("padim", image_size=(64, 96)).config.image_size == (64, 96)


def test_seed_document_defaults():
    config = registry.create("autoencoder").config.as_dict()
    expected = {"image_size": [256, 256], "batch_size": 16, "learning_rate": 1e-4, "epochs": 50, "latent_dim": 512}
    assert expected.items() <= config.items()


@pytest.mark.parametrize(
    ("algorithm", "options", "said"),
    [
        ("yolo", {}, "yolo"),
        ("padim", {"epochs": 3}, "epochs"),
        ("autoencoder", {"backbone": "resnet18"}, "backbone"),
        ("padim", {"n_features": 0}, "n_features"),
        ("padim", {"n_features": 1.5}, "n_features"),
        ("padim", {"n_features": True}, "n_features"),
        ("padim", {"n_features": "100"}, "n_features"),
        ("padim", {"backbone": "resnet19"}, "resnet19"),
        ("padim", {"layers": ["layer9"]}, "layer9"),
        ("padim", {"layers": []}, "layers"),
        ("padim", {"image_size": 16}, "image_size"),
        ("padim", {"image_size": (64, 64, 64)}, "image_size"),
        ("padim", {"image_size": (4096, 4096)}, "4.2 million pixels"),
        ("padim", {"image_size": "own"}, "image_size"),
        ("padim", {"sigma": float("nan")}, "sigma"),
        ("padim", {"patch_size": 3}, "patch_size"),
        ("padim", {"tile": 100}, "tile"),
        ("padim", {"tile": 256, "tile_overlap": 80}, "tile_overlap"),
        ("patchcore", {"tile": 64}, "tile_overlap"),
        ("padim", {"image_size": 32, "sigma": 8}, "sigma"),
        ("padim", {"seed": -1}, "seed"),
        ("padim", {"device": "tpu"}, "tpu"),
        ("autoencoder", {"image_size": 100}, "16"),
        ("autoencoder", {"learning_rate": 0}, "learning_rate"),
        ("autoencoder", {"skip_connections": 1}, "skip_connections"),
        ("autoencoder", {"latent_dim": None}, "latent_dim"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(algorithm, options, said):
    with pytest.raises(DetectorError, match=said):
        registry.create(algorithm, **options)


def test_config_survives_its_dictionary():
    config = registry.create("padim", image_size=(64, 96), layers=["layer2", "layer3"]).config
    assert type(config)(**config.as_dict()) == config


def test_a_choice_of_detectors_begins_with_a_size_in_pixels():
    with pytest.raises(DetectorError, match="image_size=native is not valid"):
        SelectionConfig.from_options("auto", {"image_size": "native"})


def test_the_images_own_size_is_a_word():
    config = registry.create("patchcore", image_size="native").config
    assert config.is_native
    assert config.as_dict()["image_size"] == "native"
    assert type(config)(**config.as_dict()) == config


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(DetectorError, match="cuda"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"


def test_web_code_can_import_the_light_modules_without_torch():
    code = (
        "import sys, modelzoo.detectors, modelzoo.detectors.errors, modelzoo.evaluation.calibration, "
        "modelzoo.evaluation.metrics, modelzoo.detectors.options; "
        "print('torch' in sys.modules, 'django' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def test_the_detectors_import_neither_django_nor_torchvision():
    code = (
        "import sys, modelzoo.detectors.registry, modelzoo.detectors.artifacts, modelzoo.detectors.image_source; "
        "print('django' in sys.modules, 'torchvision' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("name", "given", "in_force"),
    [
        ("OMP_WAIT_POLICY", None, "passive"),
        ("OMP_WAIT_POLICY", "active", "active"),
        ("GOMP_SPINCOUNT", None, "10000"),
        ("GOMP_SPINCOUNT", "7", "7"),
    ],
)
def test_threads_sleep_while_they_wait_unless_someone_decides_otherwise(name, given, in_force):
    environment = {other: value for other, value in os.environ.items() if other != name}
    if given:
        environment[name] = given
    code = f"import os, modelzoo.detectors; print(os.environ[{name!r}])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert answer.stdout.strip() == in_force
