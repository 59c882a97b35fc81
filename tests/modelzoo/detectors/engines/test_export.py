"""Detectors outside PyTorch: the same maps in every runtime, honest about 8 bits, never from a damaged file."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
import pytest
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.engines import export as exporting
from modelzoo.detectors.engines.base import (
    AUTO,
    BF16,
    COMPILED,
    FP32,
    INT8,
    MAX_SCORE_SHIFT,
    ONNXRUNTIME,
    OPENVINO,
    EngineUnavailable,
)
from modelzoo.detectors.engines.export import ExportRefused, export, onnx_model
from modelzoo.detectors.engines.onnxruntime import PROVIDERS, OnnxRuntimeEngine, providers
from modelzoo.detectors.engines.openvino import OpenVinoEngine
from modelzoo.detectors.engines.selection import open_scorer
from modelzoo.detectors.errors import DetectorError
from tests.modelzoo.detectors.conftest import (
    RESNET18,
    SCREW,
    TensorSource,
    needs_resnet18,
    needs_screw,
    open_rgb,
    textured,
    with_defect,
)
from tests.modelzoo.detectors.test_contract import QUICK

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

# The second is one that pose alignment could choose: not all layers divide it evenly.
SIZES = [(64, 96), (80, 112)]
ODD = ("padim orthogonal, odd", "patchcore", "autoencoder, skips")
# What is deeper in the backbone is the same kind of layer again, and takes most of the time: one variant has all of it.
SHALLOW = {"layers": ("layer1", "layer2")}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "padim": ("padim", {}),
    "padim, shallow": ("padim", {"layers": ("layer1",)}),
    "padim orthogonal, odd": ("padim", SHALLOW | {"reduction": "orthogonal", "patch_size": 5}),
    "patchcore": ("patchcore", SHALLOW),
    "patchcore, plain": ("patchcore", {"layers": ("layer1",), "probes": 0, "neighbours": 1}),
    "padim in tiles": ("padim", SHALLOW | {"tile": 64, "tile_overlap": 32}),
    "autoencoder": ("autoencoder", {"epochs": 2}),
    "autoencoder, skips": ("autoencoder", {"epochs": 2, "skip_connections": True}),
    "autoencoder, skips and stains": ("autoencoder", {"epochs": 2, "skip_connections": True, "corruption": "stain"}),
}


def fit(variant, size=SIZES[0]):
    algorithm, options = VARIANTS[variant]
    detector = registry.create(algorithm, image_size=size, device="cpu", **(QUICK[algorithm] | options))
    return detector.fit(TensorSource(textured(24, *size)))


@pytest.fixture(scope="module")
def padim():
    return fit("padim")


@pytest.fixture(scope="module")
def cache(padim, tmp_path_factory):
    """The padim's, with both of its models in it."""
    folder = tmp_path_factory.mktemp("engines")
    for precision in (FP32, INT8):
        onnx_model(padim, precision, folder)
    return folder


@pytest.fixture(scope="module")
def shallow():
    return fit("padim, shallow")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.slow
def test_every_runtime_gives_the_detectors_maps(variant, padim, cache, tmp_path):
    """Every kind of detector at either size, every option at one of them: building is what takes the time."""
    height, width = size = SIZES[variant in ODD]
    detector, built = (padim, cache) if variant == "padim" else (fit(variant, size), tmp_path)
    images = torch.cat([textured(3, height, width, seed=2), with_defect(textured(2, height, width, seed=3))])
    expected = detector.score(images)
    for runtime in (ONNXRUNTIME, OPENVINO):
        scorer = open_scorer(detector, runtime=runtime, precision=FP32, cache=built)
        for part in (slice(5), slice(1)):
            scored = scorer.score(images[part])
            assert scored.maps.dtype == scored.scores.dtype == np.float32
            np.testing.assert_allclose(scored.maps, expected.maps[part], rtol=1e-3, atol=1e-4 * expected.maps.max())
            np.testing.assert_allclose(scored.scores, expected.scores[part], rtol=1e-3)


def test_the_portable_pass_is_the_detectors(padim):
    images = textured(5, *SIZES[0], seed=2)
    with torch.inference_mode():
        maps, scores = exporting.Portable(padim)(images)
    np.testing.assert_allclose(maps.numpy(), padim.score(images).maps, rtol=1e-4)
    np.testing.assert_array_equal(scores.numpy(), maps.numpy().max((1, 2)))


@pytest.fixture(scope="module")
def autoencoder():
    return fit("autoencoder, skips")


@pytest.mark.parametrize(("runtime", "precision"), [(ONNXRUNTIME, INT8), (OPENVINO, INT8), (OPENVINO, BF16)])
@pytest.mark.slow
def test_fewer_bits_move_scores_by_less_than_good_parts_differ(autoencoder, runtime, precision):
    engine = {ONNXRUNTIME: OnnxRuntimeEngine, OPENVINO: OpenVinoEngine}[runtime]
    if precision not in engine.precisions(autoencoder):
        pytest.skip(f"this processor has no {precision}")
    scorer = open_scorer(autoencoder, runtime=runtime, precision=precision)
    assert 0 < scorer.choice["moved"] < 0.5
    good = textured(8, *SIZES[0], seed=2)
    assert scorer.score(with_defect(good)).scores.min() > scorer.score(good).scores.max()


@pytest.mark.parametrize("runtime", [ONNXRUNTIME, OPENVINO])
def test_a_precision_that_would_turn_verdicts_is_refused(padim, cache, runtime):
    # Eight bits are too few for this backbone, and these parts differ by very little.
    with pytest.raises(EngineUnavailable, match=r"In int8 the score of a good part moves by .* Use fp32 or auto"):
        open_scorer(padim, runtime=runtime, precision=INT8, cache=cache)


@needs_screw
@needs_resnet18
@pytest.mark.slow
def test_eight_bits_find_the_same_screws(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", str(RESNET18.parent))
    detector = registry.create("padim", image_size=128, backbone="resnet18", n_features=50, device="cpu")

    def screws(folder, count):
        files = sorted((SCREW / folder).glob("*.png"))[:count]
        return torch.stack([detector.prepare(open_rgb(path)).pixels for path in files])

    detector.fit(TensorSource(screws("train/good", 48)))
    images = torch.cat([screws("test/good", 16), screws("test/scratch_head", 16)])
    expected = detector.score(images).scores
    for runtime in (ONNXRUNTIME, OPENVINO):
        scorer = open_scorer(detector, runtime=runtime, precision=INT8, cache=tmp_path)
        far = np.abs(scorer.score(images).scores - expected) / np.std(detector.held_out_scores)
        assert far.max() < MAX_SCORE_SHIFT, runtime


@pytest.mark.parametrize("runtime", [ONNXRUNTIME, OPENVINO])
@pytest.mark.slow
def test_auto_measures_what_the_runtime_offers(padim, cache, runtime):
    choice = open_scorer(padim, runtime=runtime, precision=AUTO, cache=cache).choice
    assert choice["runtime"] == runtime
    assert FP32 in {row["precision"] for row in choice["measured"]}
    # What moves scores too far takes no part, and says so.
    assert INT8 in {row["precision"] for row in choice["measured"] + choice["unavailable"]}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "precision"), [("shallow", FP32), ("shallow", BF16)])
def test_the_compiled_pass_is_the_detectors(request, kind, precision):
    """Where nothing was compiled before, this takes a minute."""
    detector = request.getfixturevalue(kind)
    images = textured(5, *SIZES[0], seed=2)
    scorer = open_scorer(detector, runtime=COMPILED, precision=precision)
    for part in (images, images[:1], images[:3]):
        scored, expected = scorer.score(part), detector.score(part)
        assert scored.maps.dtype == np.float32
        np.testing.assert_allclose(scored.scores, expected.scores, rtol=1e-3 if precision == FP32 else 0.05)


def test_only_the_network_is_quantised(padim, cache):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(onnx_model(padim, INT8, cache)).graph
    weights = {constant.name for constant in graph.initializer}
    quantised = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"} & weights
    assert quantised
    assert all(name.startswith("network.") or name.endswith("bias_quantized") for name in quantised)
    heads = [node for node in graph.node if node.op_type == "MatMul"]
    library_versions = {output: node.op_type for node in graph.node for output in node.output}
    assert heads
    assert not any(library_versions.get(name) == "DequantizeLinear" for node in heads for name in node.input)


# ---------------------------------------------------------------- the cache
def test_a_second_load_reads_what_the_first_has_built(padim, cache, monkeypatch):
    monkeypatch.setattr(exporting, "_build", lambda *_: pytest.fail("it was built again"))
    images = textured(2, *SIZES[0], seed=2)
    scored = open_scorer(padim, runtime=ONNXRUNTIME, precision=FP32, cache=cache).score(images)
    np.testing.assert_allclose(scored.scores, padim.score(images).scores, rtol=1e-3)


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "a folder"])
def test_a_damaged_file_is_built_again(padim, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(exporting, "_build", lambda *_: b"built")
    assert onnx_model(padim, FP32, tmp_path) == b"built"
    [path] = tmp_path.iterdir()
    data = path.read_bytes()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
        assert onnx_model(padim, FP32, tmp_path) == b"built"
        return
    path.write_bytes({"cut": data[:-1], "flipped": data[:-1] + b"?", "emptied": b""}[damage])
    assert onnx_model(padim, FP32, tmp_path) == b"built"
    assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_other_versions_build_their_own(padim, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_build", lambda *_: b"built")
    onnx_model(padim, FP32, tmp_path)
    monkeypatch.setattr(exporting, "_version", lambda name: "99")
    onnx_model(padim, FP32, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


# ---------------------------------------------------------------- what is not there
@pytest.mark.parametrize("runtime", [ONNXRUNTIME, OPENVINO])
@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "its own"])
def test_a_missing_library_is_named(padim, monkeypatch, runtime, missing):
    name = runtime if missing == "its own" else missing
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineUnavailable, match=f"pip install {name}"):
        open_scorer(padim, runtime=runtime)


def test_without_onnxruntime_openvino_has_no_int8(padim, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert INT8 not in OpenVinoEngine.precisions(padim)
    with pytest.raises(EngineUnavailable, match="int8 is not to be had"):
        open_scorer(padim, runtime=OPENVINO, precision=INT8)


def test_providers_best_first(monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert providers("cpu") == ["CPUExecutionProvider"]
    known = ["AzureExecutionProvider", "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    assert providers("cuda") == list(PROVIDERS)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known[:2])
    with pytest.raises(EngineUnavailable, match="onnxruntime-gpu"):
        providers("cuda")


@pytest.mark.parametrize("runtime", [ONNXRUNTIME, OPENVINO])
@pytest.mark.parametrize("precision", [FP32, AUTO])
def test_a_library_that_fails_is_told_as_such(padim, monkeypatch, runtime, precision):
    monkeypatch.setattr(exporting, "_build", lambda *_: b"junk")
    with pytest.raises(EngineUnavailable, match=f"Runtime {runtime} fails with this model"):
        open_scorer(padim, runtime=runtime, precision=precision)


@pytest.mark.slow
def test_a_model_too_large_for_a_file_says_so(shallow, monkeypatch):
    monkeypatch.setattr(exporting, "MAX_MODEL_BYTES", 1000)
    with pytest.raises(EngineUnavailable, match="more than an ONNX file can hold"):
        onnx_model(shallow, FP32)


# ---------------------------------------------------------------- export
@pytest.mark.slow
def test_an_export_says_what_it_is(shallow, tmp_path):
    exported = export(shallow, tmp_path / "deep" / "disc", FP32, {"artifact_sha256": "ab"})
    assert sorted(path.name for path in exported.directory.iterdir()) == ["model.json", "model.onnx"]
    description = json.loads((exported.directory / "model.json").read_text())
    assert description == exported.description
    assert description["input"]["shape"] == ["batch", 3, *SIZES[0]]
    assert description["source"] == {"artifact_sha256": "ab"}
    assert description["parity"]["map_difference"] < exporting.MAP_TOLERANCE
    model = (exported.directory / "model.onnx").read_bytes()
    assert description["files"]["model.onnx"] == {
        "sha256": hashlib.sha256(model).hexdigest(),
        "size_bytes": len(model),
    }
    assert len(model) == exported.size_bytes
    assert [path.name for path in exported.directory.parent.iterdir()] == ["disc"]
    with pytest.raises(DetectorError, match="exists already"):
        export(shallow, exported.directory, FP32, {})


@pytest.mark.parametrize("precision", [FP32, INT8])
def test_an_export_that_scores_otherwise_is_not_kept(padim, cache, tmp_path, monkeypatch, precision):
    other = fit("autoencoder")
    monkeypatch.setattr(exporting, "_build", lambda *_: onnx_model(padim, precision, cache))
    with pytest.raises(ExportRefused, match="Nothing was written"):
        export(other, tmp_path / "out", precision, {})
    assert not list(tmp_path.iterdir())


def test_exports_that_cannot_be(padim, tmp_path, monkeypatch):
    with pytest.raises(DetectorError, match="no ONNX export in 'bf16'"):
        export(padim, tmp_path / "out", BF16, {})
    monkeypatch.setattr(exporting, "_build", lambda *_: pytest.fail("too late"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DetectorError, match="exists already"):
        export(padim, tmp_path / "file", FP32, {})
