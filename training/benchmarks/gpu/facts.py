"""What this machine is, as far as its results depend on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from training.benchmarks.gpu.report import Reporter, SkipSection
from training.benchmarks.gpu.setting import CUDA, Setting

_PACKAGES = ("torch", "torchvision", "triton", "onnxruntime", "onnxruntime-gpu", "onnx", "tensorrt", "numpy", "pillow")
_QUERY = "name,driver_version,memory.total,memory.used,power.limit,clocks.max.sm,compute_cap,mig.mode.current"


def facts(setting: Setting, reporter: Reporter) -> None:
    """Fails where CUDA was asked for and is not there."""
    reporter.row(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        packages={name: _version(name) for name in _PACKAGES},
        cuda=torch.version.cuda,
        c_compiler=shutil.which("gcc") or shutil.which("cc") or "none",
    )
    reporter.row(nvidia_smi=_nvidia_smi())
    if setting.device != CUDA:
        raise SkipSection("the device is the processor: a dry run, which says nothing of a GPU")
    properties = torch.cuda.get_device_properties(0)
    reporter.row(
        gpu=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        memory_mb=round(properties.total_memory / 1e6),
        multiprocessors=properties.multi_processor_count,
        cudnn=torch.backends.cudnn.version(),
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        convolutions_in_tf32=torch.backends.cudnn.allow_tf32,
        matmul_precision=torch.get_float32_matmul_precision(),
    )


def _nvidia_smi() -> list[dict[str, str]] | str:
    """Of each GPU; a sentence where that cannot be known."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi does not answer: {error}"
    return [
        dict(zip(_QUERY.split(","), map(str.strip, line.split(",")), strict=False)) for line in done.stdout.splitlines()
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
