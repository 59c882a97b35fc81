"""The complete detector as an ONNX file, in float32 or with its network quantised to 8 bits.

The file holds everything from the model's input to map and score. Its head (distances, smoothing) is float32 always:
it costs little, and its rounding would move scores.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.files import write_folder, write_whole
from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import (
    FP32,
    INT8,
    MAX_SCORE_SHIFT,
    EngineUnavailable,
    precision_refusal,
    score_shift_in_std,
)
from modelzoo.detectors.engines.portable import NETWORK, Portable
from modelzoo.detectors.errors import DetectorError

log = logging.getLogger(__name__)

MODEL, DESCRIPTION = "model.onnx", "model.json"
PRECISIONS = (FP32, INT8)
INPUT, OUTPUTS = "images", ("maps", "scores")
LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime")
# Of a map's largest value: how far float32 may lie from PyTorch's, by the order of summation.
MAP_TOLERANCE = 1e-3
# A whole model is one protobuf message, which ends at 2 GiB.
MAX_MODEL_BYTES = 2**31 - 2**20
# Constants of at least as many numbers are kept in half precision where that loses nothing.
MIN_HALVED_SIZE = 2**16
_QUANTISED_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class ExportRefused(DetectorError):
    """What was exported does not score as the detector does, so it was not kept."""


def library(name: str, package: str) -> Any:
    """An optional library.

    Raises:
        EngineUnavailable: naming the package that provides it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise EngineUnavailable(
            f"This needs the package {package}, which is not installed here: pip install {package} "
            "(requirements-accelerators.txt has them all)."
        ) from error


def onnx_model(detector: Detector, precision: str, cache: Path | None = None) -> bytes:
    """The model as a serialised ONNX message.

    Args:
        precision: one of `PRECISIONS`. INT8 is calibrated on `detector.reference_images`.
        cache: a folder for this very model. What was built is stored there and read the next time, unless it is
            damaged or other versions of the libraries made it; where nothing can be written it is built each time. None
            builds anew.

    Raises:
        EngineUnavailable: when a library is missing or the model is too large for one file.
    """
    if cache is None:
        return _build(detector, precision)
    library_versions = "-".join(f"{name}{_version(name)}" for name in LIBRARIES)
    path = cache / f"{precision}-{library_versions}.onnx"
    model = _read_sealed(path)
    if model is None:
        model = _build(detector, precision)
        try:
            _write_sealed(path, model)
        except OSError as error:
            log.warning("The model for other runtimes could not be kept in %s (%s).", cache, error)
    return model


@dataclass(frozen=True)
class ExportResult:
    """An export on the disk: its folder, what the description says, and the bytes of the model."""

    directory: Path
    description: dict[str, Any]
    size_bytes: int


def export(detector: Detector, directory: Path, precision: str, source: Mapping[str, Any]) -> ExportResult:
    """Write `model.onnx` and `model.json` to a new folder, if the model scores the reference images as it should.

    Args:
        directory: must not exist; its parents are created. It is there whole or not at all.
        precision: one of `PRECISIONS`.
        source: where the model comes from, JSON-safe: the artifact's hash, ...

    Raises:
        ExportRefused: when the scores are others.
        EngineUnavailable: when a library is missing or the model is too large.
        DetectorError: when the folder exists or cannot be written, or there is no such precision.
    """
    if precision not in PRECISIONS:
        raise DetectorError(f"There is no ONNX export in {precision!r}; there is {', '.join(PRECISIONS)}.")
    if directory.exists():
        raise DetectorError(f"{directory} exists already; name a new folder.")
    model = onnx_model(detector, precision)
    parity = compare(detector, model, precision)
    height, width = detector.input_size
    description = {
        "algorithm": detector.algorithm,
        "precision": precision,
        "source": dict(source),
        "input": {"name": INPUT, "dtype": "uint8", "shape": ["batch", 3, height, width], "channels": "RGB"},
        "outputs": {
            "maps": {"dtype": "float32", "shape": ["batch", height, width]},
            "scores": {"dtype": "float32", "shape": ["batch"], "is": "the maximum of the map"},
        },
        "inside": "normalisation, ignored regions, network, distances, smoothing, score",
        "outside": "Decoding, flat field and pose are not in the graph; what `preprocessing` says has to be done "
        "before it, as the product does it. The threshold is not inside either: it has revisions.",
        "preprocessing": detector.preprocessing.describe(),
        "parity": parity,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "files": {MODEL: {"sha256": hashlib.sha256(model).hexdigest(), "size_bytes": len(model)}},
    }
    try:
        with write_folder(directory) as folder:
            (folder / MODEL).write_bytes(model)
            (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, allow_nan=False))
    except OSError as error:
        raise DetectorError(f"The export could not be written to {directory}: {error}.") from error
    return ExportResult(directory, description, len(model))


def compare(detector: Detector, model: bytes, precision: str) -> dict[str, float | int]:
    """How far an ONNX model lies from the detector on its reference images.

    Returns:
        images: their number; map_difference: largest difference from the same module in PyTorch, as a share of the
        largest value; moved: largest difference of a score from the detector's, in spreads of the held-out scores.

    Raises:
        ExportRefused: when that is more than rounding (fp32) or than the spread of good parts.
    """
    runtime = library("onnxruntime", "onnxruntime")
    reference_images = detector.reference_images
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    maps, scores = session.run(OUTPUTS, {INPUT: reference_images.numpy()})
    with torch.inference_mode():
        expected = Portable(detector)(reference_images.to(detector.device))[0].cpu().numpy()
    difference = float(np.abs(maps - expected).max() / max(float(expected.max()), 1e-30))
    shift = score_shift_in_std(detector, scores)
    parity = {"images": len(reference_images), "map_difference": difference, "moved": shift}
    if precision == FP32 and not difference <= MAP_TOLERANCE:
        raise ExportRefused(
            f"The exported model's maps differ from the detector's by {difference:.2g} of their largest value, more "
            f"than {MAP_TOLERANCE:g}. Nothing was written."
        )
    if not shift <= MAX_SCORE_SHIFT:
        raise ExportRefused(f"{precision_refusal(precision, shift)} Nothing was written; use fp32.")
    return parity


def _build(detector: Detector, precision: str) -> bytes:
    onnx, _ = library("onnx", "onnx"), library("onnxscript", "onnxscript")
    with _without_log_output(), torch.no_grad():
        program = torch.onnx.export(
            Portable(detector).eval(),
            (detector.reference_images[:2].to(detector.device),),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _halve_constants(onnx, model)
    if model.ByteSize() > MAX_MODEL_BYTES:
        raise EngineUnavailable(
            f"This model has {model.ByteSize() / 1e9:.1f} GB, more than an ONNX file can hold; train it with fewer "
            "features or a smaller image size, or run it with torch."
        )
    if precision == INT8:
        model = _quantise(onnx, model, detector)
    return bytes(model.SerializeToString())


def _halve_constants(onnx: Any, model: Any) -> None:
    """Keep large float32 constants in half precision where every value has one: the same numbers in half the file."""
    for constant in model.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT or np.prod(constant.dims) < MIN_HALVED_SIZE:
            continue
        values = onnx.numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
            cast = onnx.helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.float", to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)


def _quantise(onnx: Any, model: Any, detector: Detector) -> Any:
    """Weights and activations of the network's convolutions and matrix products as 8-bit integers (QDQ)."""
    quantization = library("onnxruntime.quantization", "onnxruntime")
    weights = {constant.name for constant in model.graph.initializer if constant.name.startswith(NETWORK)}
    nodes = [
        node.name for node in model.graph.node if node.op_type in _QUANTISED_OPERATORS and weights & set(node.input)
    ]
    images = iter(detector.reference_images.numpy()[:, None])

    class Probe(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(images, None)
            return None if image is None else {INPUT: image}

    with tempfile.TemporaryDirectory() as folder, _without_log_output():
        target = Path(folder) / MODEL
        quantization.quantize_static(
            model,
            target,
            Probe(),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(target)


@contextmanager
def _without_log_output() -> Iterator[None]:
    """The exporters log and warn a great deal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _read_sealed(path: Path) -> bytes | None:
    """What `_write_sealed` wrote, or None when it is not there or not what it was."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    seal, content = data[:32], data[32:]
    return content if hashlib.sha256(content).digest() == seal else None


def _write_sealed(path: Path, content: bytes) -> None:
    """Content after its own hash, in its place whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as out:
        out.write(hashlib.sha256(content).digest())
        out.write(content)
