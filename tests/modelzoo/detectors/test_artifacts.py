"""An artifact is whole or not there, and every byte of it counts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.errors import ArtifactError, DetectorError
from tests.modelzoo.detectors.conftest import TensorSource, textured


@pytest.fixture(scope="module")
def detector():
    options = {"backbone": "efficientnet_lite0", "layers": ["layer1"], "n_features": 8, "patch_size": 8, "sigma": 1}
    return registry.create("padim", image_size=32, device="cpu", **options).fit(TensorSource(textured(8, 32, 32)))


@pytest.fixture
def info(detector, tmp_path):
    return artifacts.save(detector, tmp_path / "models" / "one", {"run": 7, "dataset": "abc"})


def rewrite_manifest(info: artifacts.ArtifactInfo, **changes) -> None:
    (info.path / artifacts.MANIFEST).write_text(json.dumps(info.manifest | changes))


def rewrite_tensors(info: artifacts.ArtifactInfo, state: dict[str, torch.Tensor]) -> None:
    """Put other tensors there, with a manifest that lists them honestly."""
    data = safetensors.torch.save(state)
    (info.path / artifacts.TENSORS).write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    table = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in state.items()
    }
    rewrite_manifest(info, files={artifacts.TENSORS: entry}, tensors=table)


def test_what_is_saved_explains_itself(detector, info):
    manifest = json.loads((info.path / artifacts.MANIFEST).read_text())
    assert manifest == info.manifest
    assert sorted(path.name for path in info.path.iterdir()) == ["manifest.json", "model.safetensors"]
    assert info.sha256 == hashlib.sha256((info.path / artifacts.MANIFEST).read_bytes()).hexdigest()
    assert info.size_bytes == sum(path.stat().st_size for path in info.path.iterdir())
    tensors = (info.path / artifacts.TENSORS).read_bytes()
    assert manifest["files"] == {
        "model.safetensors": {"sha256": hashlib.sha256(tensors).hexdigest(), "size_bytes": len(tensors)}
    }
    assert manifest["algorithm"] == "padim"
    assert manifest["detector"]["config"] == detector.config.as_dict()
    assert manifest["detector"]["backbone"]["sha256"].startswith("57934424")
    preprocessing = manifest["detector"]["preprocessing"]
    assert (preprocessing["height"], preprocessing["width"], preprocessing["region"]) == (32, 32, [0, 0, 1, 1])
    assert manifest["metadata"] == {"run": 7, "dataset": "abc"}
    assert manifest["libraries"]["torch"] == torch.__version__
    assert manifest["tensors"]["reduction"] == {"shape": [24, 8], "dtype": "float32"}
    assert manifest["tensors"].keys() == detector.state().keys()


def test_the_same_model_gives_the_same_hash(detector, info, tmp_path):
    again = artifacts.save(detector, tmp_path / "again", {"run": 7, "dataset": "abc"})
    assert again.sha256 == info.sha256
    assert artifacts.save(detector, tmp_path / "other", {"run": 8, "dataset": "abc"}).sha256 != info.sha256


def test_it_loads_without_any_weights_of_its_own(detector, info, monkeypatch):
    """The backbone is inside: neither folder, cache, package nor network is asked."""
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", "/nowhere")
    again = artifacts.load(info.path, info.sha256)
    images = textured(2, 32, 32, seed=1)
    np.testing.assert_array_equal(again.score(images).maps, detector.score(images).maps)
    assert again.backbone_info == detector.backbone_info
    assert artifacts.read_manifest(info.path, info.sha256) == info.manifest


def test_artifacts_are_never_overwritten(detector, info):
    before = (info.path / artifacts.MANIFEST).read_bytes()
    with pytest.raises(ArtifactError, match="exists already"):
        artifacts.save(detector, info.path, {})
    assert (info.path / artifacts.MANIFEST).read_bytes() == before


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": object()}])
def test_metadata_that_is_not_json_is_refused(detector, tmp_path, metadata):
    with pytest.raises(ArtifactError, match="not JSON"):
        artifacts.save(detector, tmp_path / "model", metadata)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stage", "error", "expected"),
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device"), ArtifactError),
        ("fsync", KeyboardInterrupt(), KeyboardInterrupt),
        ("rename", OSError(errno.EIO, "Input/output error"), ArtifactError),
        ("rename", KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("call", [1, 2])
def test_an_interrupted_save_leaves_nothing(detector, tmp_path, monkeypatch, stage, error, expected, call):
    calls = 0

    def failing(*args):
        nonlocal calls
        calls += 1
        if calls == call or stage == "rename":
            raise error

    if stage == "fsync":
        monkeypatch.setattr(os, "fsync", failing)
    else:
        monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(expected):
        artifacts.save(detector, tmp_path / "model", {})
    assert calls > 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence(detector):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(ArtifactError, match="could not be written"):
        artifacts.save(detector, full / "model", {})


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
def test_a_missing_file_is_an_error(info, name):
    (info.path / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        artifacts.load(info.path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load(tmp_path / "nowhere")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["manifest.json", "model.safetensors"]), st.data())
def test_any_changed_byte_is_noticed(info, name, data):
    path = info.path / name
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = original[position] ^ data.draw(st.integers(1, 255))
    try:
        path.write_bytes(original[:position] + bytes([flipped]) + original[position + 1 :])
        with pytest.raises(ArtifactError):
            artifacts.load(info.path, info.sha256)
        path.write_bytes(original[:position])
        with pytest.raises(ArtifactError):
            artifacts.load(info.path, info.sha256)
    finally:
        path.write_bytes(original)
    artifacts.load(info.path, info.sha256)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "something else"}, "not an artifact"),
        ({"format_version": 3}, "format version 3"),
        ({"algorithm": "yolo"}, "yolo"),
        ({"algorithm": "autoencoder"}, "does not fit together"),
        ({"files": {}}, "lacks an entry"),
        ({"detector": None}, "does not fit together"),
        ({"tensors": {}}, "not those that its manifest lists"),
    ],
)
def test_a_manifest_that_lies_is_refused_even_without_a_known_hash(info, changes, said):
    rewrite_manifest(info, **changes)
    with pytest.raises(ArtifactError, match=said):
        artifacts.load(info.path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none_is_refused(info, text):
    (info.path / artifacts.MANIFEST).write_bytes(text)
    with pytest.raises(ArtifactError):
        artifacts.load(info.path)


@pytest.mark.parametrize("name", ["reduction", "mean", "whitening", "floor", "held_out_scores"])
def test_tensors_of_the_wrong_shape_or_missing_are_refused(detector, info, name):
    state = detector.state()
    rewrite_tensors(info, {other: tensor for other, tensor in state.items() if other != name})
    with pytest.raises(ArtifactError, match="does not fit together"):
        artifacts.load(info.path)
    if name not in ("floor", "held_out_scores"):
        rewrite_tensors(info, state | {name: state[name][1:].clone()})
        with pytest.raises(ArtifactError, match="does not fit together"):
            artifacts.load(info.path)


def test_options_that_the_tensors_do_not_have_are_refused(info):
    for change in ({"n_features": 9}, {"patch_size": 4}, {"backbone": "resnet19"}, {"new_option": 1}):
        description = info.manifest["detector"]
        rewrite_manifest(info, detector=description | {"config": description["config"] | change})
        with pytest.raises(ArtifactError, match="does not fit together"):
            artifacts.load(info.path)


def test_a_missing_device_is_not_blamed_on_the_artifact(info, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DetectorError, match="CUDA") as caught:
        artifacts.load(info.path, device="cuda")
    assert not isinstance(caught.value, ArtifactError)
