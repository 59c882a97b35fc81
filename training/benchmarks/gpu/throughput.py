"""Training, decoding, and several worker processes on one GPU."""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image

from modelzoo.detectors import registry
from modelzoo.detectors.engines.base import BF16, FP32
from modelzoo.detectors.engines.native import TorchEngine
from training.benchmarks.gpu.report import Reporter, SkipSection
from training.benchmarks.gpu.setting import CUDA, Parts, Setting, made_up_part

WORKER_MODEL = "padim"
WORKER_BATCH = 8
# Grey levels that two decoders of the same JPEG may differ by on average.
MAX_DECODER_DIFFERENCE = 3.0


def training(setting: Setting, reporter: Reporter) -> None:
    """Seconds per epoch of every detector that is trained in epochs, on the device and on the CPU."""
    models = [name for name in registry.names() if "epochs" in registry.options_for(name)]
    source = Parts(setting.parts(setting.sizes.train))
    for model in models:
        on_cpu = _epoch_seconds(setting, model, "cpu", source, "fp32")
        reporter.row(model=model, device="cpu", precision="fp32", seconds_per_epoch=on_cpu)
        if setting.device != CUDA:
            continue
        for precision in ("fp32", "bf16", "fp16"):
            seconds = _epoch_seconds(setting, model, CUDA, source, precision)
            reporter.row(
                model=model,
                device=CUDA,
                precision=precision,
                seconds_per_epoch=seconds,
                times_faster_than_cpu=on_cpu / seconds,
            )


def _epoch_seconds(setting: Setting, model: str, device: str, source: Parts, precision: str) -> float:
    """Of all epochs but the first, which finds its kernels."""
    starts: dict[str, float] = {}

    def note(fraction: float, sentence: str) -> None:
        if sentence.startswith("epoch "):
            starts.setdefault(sentence.partition(" of ")[0], time.perf_counter())
        elif starts:
            starts.setdefault("end", time.perf_counter())

    epochs = max(3, setting.sizes.epochs)
    setting.create(model, device, epochs=epochs, precision=precision).fit(source, progress=note)
    times = list(starts.values())
    return (times[-1] - times[1]) / (len(times) - 2)


def decoding(setting: Setting, reporter: Reporter) -> None:
    """JPEGs to pixels: Pillow in one thread and in all, and torchvision on the GPU (nvJPEG)."""
    sizes = setting.sizes
    files = []
    for index in range(sizes.photos):
        out = io.BytesIO()
        pixels = made_up_part(sizes.photo, index, False).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(out, "JPEG", quality=92)
        files.append(out.getvalue())

    def pillow(data: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    ways: dict[str, Callable[[], object]] = {"Pillow, one thread": lambda: [pillow(data) for data in files]}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ways["Pillow, all cores"] = lambda: list(pool.map(pillow, files))
        missing = _gpu_decoder(setting, ways, files, pillow(files[0]), reporter)
        for name, ms in setting.in_turns(ways, wall=True).items():
            reporter.row(way=name, pixels=sizes.photo, ms_per_image=ms / len(files))
    if missing:
        reporter.row(way="torchvision on the GPU", not_measured=missing)


def _gpu_decoder(
    setting: Setting,
    ways: dict[str, Callable[[], object]],
    files: list[bytes],
    expected: np.ndarray,
    reporter: Reporter,
) -> str:
    """Adds it to the ways; returns why it cannot be had, else nothing."""
    if setting.device != CUDA:
        return "the device is the processor"
    try:
        from torchvision.io import decode_jpeg

        encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
        pixels = decode_jpeg(encoded[0], device=CUDA).permute(1, 2, 0).cpu().numpy()
    except Exception as error:  # noqa: BLE001 - it is optional; the report says what it lacks
        return f"{type(error).__name__}: {error}"[:500]
    difference = float(np.abs(pixels.astype(int) - expected.astype(int)).mean())
    reporter.row(way="torchvision on the GPU", mean_difference=difference)
    reporter.check("torchvision on the GPU decodes the same picture", difference, MAX_DECODER_DIFFERENCE)
    ways["torchvision on the GPU, together"] = lambda: decode_jpeg(encoded, device=CUDA)
    ways["torchvision on the GPU, to the host"] = lambda: [image.cpu() for image in decode_jpeg(encoded, device=CUDA)]
    return ""


def workers(setting: Setting, reporter: Reporter) -> None:
    """Images per second of one process and of several on the one GPU, images and maps on the host."""
    if not setting.artifact(WORKER_MODEL).is_dir():
        raise SkipSection(f"the section that fits the models left none of {WORKER_MODEL}")
    alone = 0.0
    for count in (1, setting.sizes.processes):
        # Forked from a process that has neither touched the GPU nor computed anything.
        context = multiprocessing.get_context("fork")
        barrier, queue = context.Barrier(count), context.Queue()
        processes = [context.Process(target=_worker, args=(setting, barrier, queue)) for _ in range(count)]
        for process in processes:
            process.start()
        answers: list[dict[str, Any]] = [queue.get(timeout=max(1.0, setting.seconds_left())) for _ in processes]
        for process in processes:
            process.join()
        errors = [answer["error"] for answer in answers if "error" in answer]
        if errors:
            raise RuntimeError(f"{len(errors)} of {count} workers failed, one with {errors[0]}")
        images_per_second = sum(answer["images_per_second"] for answer in answers)
        alone = alone or images_per_second
        reporter.row(
            processes=count,
            images_per_second=images_per_second,
            times_one_process=images_per_second / alone,
            mb_each=[answer["mb"] for answer in answers],
            device_mb_in_use=max(answer["device_mb_in_use"] for answer in answers),
        )


def _worker(setting: Setting, barrier: Any, queue: Any) -> None:
    try:
        queue.put(_score_for_a_while(setting, barrier))
    except Exception as error:  # noqa: BLE001 - the section reports it
        barrier.abort()
        queue.put({"error": f"{type(error).__name__}: {error}"[:500]})


def _score_for_a_while(setting: Setting, barrier: Any) -> dict[str, float]:
    torch.set_num_threads(1)
    detector = setting.detector(WORKER_MODEL)
    engine = TorchEngine(detector, BF16 if BF16 in TorchEngine.precisions(detector) else FP32)
    images = setting.parts(WORKER_BATCH, seed=4)
    engine.maps(images)
    barrier.wait(timeout=max(1.0, setting.seconds_left()))
    start, scored = time.perf_counter(), 0
    while time.perf_counter() - start < setting.sizes.seconds:
        engine.maps(images)
        scored += len(images)
    seconds = time.perf_counter() - start
    if setting.device != CUDA:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        return {"images_per_second": scored / seconds, "mb": own, "device_mb_in_use": 0.0}
    free, total = torch.cuda.mem_get_info()
    barrier.wait(timeout=max(1.0, setting.seconds_left()))  # nobody ends before all have looked
    return {
        "images_per_second": scored / seconds,
        "mb": torch.cuda.max_memory_reserved() / 1e6,
        "device_mb_in_use": (total - free) / 1e6,
    }
