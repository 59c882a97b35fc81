"""Milliseconds per image in each precision and runtime, beside a plain ResNet-18 that takes its turns with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from modelzoo.detectors import registry
from modelzoo.detectors.base import Detector
from modelzoo.detectors.engines.base import BF16, FP32, EngineUnavailable
from modelzoo.detectors.engines.export import INPUT, OUTPUTS, library, onnx_model
from modelzoo.detectors.engines.native import CompiledEngine, TorchEngine
from training.benchmarks.gpu.precisions import tf32
from training.benchmarks.gpu.report import Reporter, SkipSection
from training.benchmarks.gpu.setting import CUDA, Setting, score_shift

PLAIN = "plain resnet18"
MIN_SECONDS = 10.0  # less is not worth the beginning of another model
# Compilers take their time, and PaDiM is what people start with.
COMPILED_MODEL = "padim"

_as_it_comes = partial(tf32, convolutions=True, products=False)


@dataclass
class Way:
    """A model in one precision and runtime.

    Attributes:
        on_device: uint8 images on the device to maps there; None where a runtime takes them from the host alone.
        from_host: the whole of it, images and maps on the host.
    """

    name: str
    from_host: Callable[[torch.Tensor], object]
    on_device: Callable[[torch.Tensor], object] | None = None
    context: Callable[[], AbstractContextManager[None]] = field(default=_as_it_comes)


def speed(setting: Setting, reporter: Reporter) -> None:
    """PyTorch itself: every model, every precision, every batch."""
    for model in registry.names():
        if setting.seconds_left() < MIN_SECONDS and setting.device == CUDA:
            reporter.row(model=model, not_measured="no time was left")
            continue
        detector = setting.detector(model)
        _measure(setting, reporter, model, detector, _torch_ways(detector))


def other_runtimes(setting: Setting, reporter: Reporter) -> None:
    """torch.compile (on a GPU with CUDA graphs) and ONNX Runtime (CUDA, TensorRT), beside PyTorch itself."""
    if setting.device != CUDA:
        raise SkipSection("compilers and ONNX Runtime on the processor are what `benchmark speed` measures")
    detector = setting.detector(COMPILED_MODEL)
    makers: dict[str, Callable[[], Way]] = {
        "onnxruntime cuda": lambda: _onnxruntime_way(setting, detector, "CUDAExecutionProvider"),
        "compile bf16": lambda: Way("compile bf16", CompiledEngine(detector, BF16).maps),
        "compile fp32": lambda: Way("compile fp32", CompiledEngine(detector, FP32).maps),
        # It builds an engine for each batch, which takes long.
        "onnxruntime tensorrt": lambda: _onnxruntime_way(setting, detector, "TensorrtExecutionProvider"),
    }
    for name, make in makers.items():
        if setting.seconds_left() < MIN_SECONDS:
            reporter.row(model=COMPILED_MODEL, way=name, not_measured="no time was left")
            continue
        try:
            way = make()
        except Exception as error:  # noqa: BLE001 - one runtime that fails is no reason to leave out the others
            reporter.row(model=COMPILED_MODEL, way=name, not_measured=f"{type(error).__name__}: {error}"[:500])
            continue
        [plain_torch, *_] = _torch_ways(detector)
        _measure(setting, reporter, COMPILED_MODEL, detector, [plain_torch, way])


def _torch_ways(detector: Detector) -> list[Way]:
    engine = TorchEngine(detector, FP32)
    ways = [
        Way("fp32", engine.maps, engine.map_function, partial(tf32, convolutions=False, products=False)),
        Way("fp32 as PyTorch comes", engine.maps, engine.map_function),
        Way("tf32", engine.maps, engine.map_function, partial(tf32, convolutions=True, products=True)),
    ]
    if BF16 in TorchEngine.precisions(detector):
        bf16 = TorchEngine(detector, BF16)
        ways.append(Way(BF16, bf16.maps, bf16.map_function))
    # What compilers and ONNX are given. PatchCore searches all rows in it: one product in place of a loop over cells.
    for name, precision in (("fp32 portable", torch.float32), ("fp16 autocast", torch.float16)):
        portable = TorchEngine(detector, FP32)
        portable.map_function = partial(detector.portable_maps, precision=precision)
        ways.append(Way(name, portable.maps, portable.map_function))
    return ways


def _onnxruntime_way(setting: Setting, detector: Detector, provider: str) -> Way:
    """With one provider alone, so that it is known whose time it is.

    Raises:
        EngineUnavailable: where it is not there, or its libraries are not, in which case ONNX Runtime would go on with
            the processor without a word.
    """
    runtime = library("onnxruntime", "onnxruntime-gpu")
    if provider not in runtime.get_available_providers():
        raise EngineUnavailable(f"The ONNX Runtime that is installed has no {provider}.")
    runtime.preload_dlls()
    model = onnx_model(detector, FP32, setting.folder / "onnx")
    session = runtime.InferenceSession(model, providers=[provider, "CPUExecutionProvider"])
    if provider not in session.get_providers():
        raise EngineUnavailable(f"The libraries of {provider} are missing: it fell back to {session.get_providers()}.")
    return Way(f"onnxruntime {provider}", lambda images: session.run(OUTPUTS[:1], {INPUT: images.numpy()})[0])


def _measure(setting: Setting, reporter: Reporter, model: str, detector: Detector, ways: list[Way]) -> None:
    """Rows of each way and batch, and how far each moves scores. A way that fails says so and takes no further part."""
    images = setting.good_parts()
    expected = setting.detector(model, "cpu").score(images).scores
    usable = []
    for way in ways:
        try:
            with torch.inference_mode(), way.context():
                maps = np.concatenate([np.asarray(way.from_host(part)) for part in images.split(8)])
        except Exception as error:  # noqa: BLE001 - as above
            reporter.row(model=model, way=way.name, not_measured=f"{type(error).__name__}: {error}"[:500])
            continue
        reporter.row(model=model, way=way.name, moved=score_shift(detector, maps.max(axis=(1, 2)), expected))
        usable.append(way)
    name, plain = plain_resnet18()
    plain = plain.to(setting.device)
    for batch in setting.sizes.batches:
        if setting.seconds_left() < 0:
            return
        host = setting.parts(batch, seed=3)
        on_device, floats = host.to(setting.device), torch.rand(batch, *host.shape[1:], device=setting.device)
        inside: dict[str, Callable[[], object]] = {PLAIN: _call(lambda x: plain(x), floats, nullcontext)}
        outside: dict[str, Callable[[], object]] = {}
        for way in usable:
            if way.on_device is not None:
                inside[way.name] = _call(way.on_device, on_device, way.context)
            outside[way.name] = _call(way.from_host, host, way.context)
        device_ms, host_ms = setting.in_turns(inside), setting.in_turns(outside, wall=True)
        reporter.row(model=model, batch=batch, way=PLAIN, network=name, ms_per_image=device_ms[PLAIN] / batch)
        for way in usable:
            ms = device_ms.get(way.name)
            reporter.row(
                model=model,
                batch=batch,
                way=way.name,
                ms_per_image=None if ms is None else ms / batch,
                faster_than_plain=None if ms is None else device_ms[PLAIN] / ms,
                ms_per_image_from_host=host_ms[way.name] / batch,
                images_per_second_from_host=1000 * batch / host_ms[way.name],
            )


def _call(
    work: Callable[[torch.Tensor], object], images: torch.Tensor, context: Callable[[], AbstractContextManager[None]]
) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode(), context():
            return work(images)

    return call


def plain_resnet18() -> tuple[str, nn.Module]:
    """What it is, and torchvision's ResNet-18 up to layer3 as it comes; the same of our own where that is missing."""
    try:
        from torchvision.models import resnet18
    except ImportError:
        from modelzoo.detectors.backbones.networks import ARCHITECTURES

        ours = ARCHITECTURES["resnet18"].build().eval()
        return "ours, BatchNorm not folded", _Last(ours)
    network = resnet18(weights=None).eval()
    stages = [network.conv1, network.bn1, network.relu, network.maxpool, network.layer1, network.layer2, network.layer3]
    return "torchvision", nn.Sequential(*stages)


class _Last(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *_, last = self.network(x)
        return last
