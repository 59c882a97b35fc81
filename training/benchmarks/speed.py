"""How fast trained versions are here: each runtime and precision in a process of its own, all taking turns.

The figures are medians over rounds in which every side is asked once; only ratios within one document mean something.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError
from modelzoo.models import ModelVersion
from training.benchmarks.protocol import Side, SideFailed
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage

BATCHES = (1, 8, 16)
# What the peer is measured at, and everybody's papers are.
REFERENCE_SIZE = {"height": 256, "width": 256}
CONTENDER = [sys.executable, "-m", "training.benchmarks.contender"]
PEER = "training.benchmarks.peers.anomalib_padim"


@dataclass
class _Entry:
    """A version in one runtime and precision, and what was measured of it."""

    version: ModelVersion
    side: Side
    tests: list[DatasetImage]
    times: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def add(self, what: str, batch: int, answer: dict[str, Any]) -> None:
        """Note milliseconds per image."""
        self.times.setdefault((what, batch), []).append(answer["ms"])


def measure(
    versions: Sequence[ModelVersion],
    *,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    device: str,
    rounds: int,
    threads: int,
    accuracy: bool,
    peer_python: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """One document: `rows`, the `reference`, what was `unavailable`, and with a peer its figures and the ratios.

    Raises `UserError` when nothing can be measured, or the peer was asked for and does not run.
    """
    unavailable: list[dict[str, str]] = []
    fits: dict[str, Any] = {}
    with ExitStack() as open_sides:
        entries: list[_Entry] = []
        for version in versions:
            tests = _test_images(version)
            for runtime in runtimes:
                for precision in precisions:
                    name = f"{version.algorithm} {runtime} {precision}"
                    tell(f"loading {name}")
                    command = [*CONTENDER, "model", "--artifact", str(version.artifact_path)]
                    command += ["--sha256", version.artifact_sha256]
                    command += ["--runtime", runtime, "--precision", precision, "--device", device]
                    try:
                        side = open_sides.enter_context(Side(command, threads=threads))
                    except SideFailed as error:
                        unavailable.append({"name": name, "because": str(error)})
                        continue
                    entries.append(_Entry(version, side, tests))
        if not entries:
            raise UserError("Nothing could be measured: " + "; ".join(row["because"] for row in unavailable))
        plain = open_sides.enter_context(Side([*CONTENDER, "plain"], threads=threads))
        peer = None
        if peer_python:
            fits = _fits(versions, peer_python, threads, open_sides, tell)
            peer = fits.pop("side")
        others: dict[str, list[float]] = {}
        for turn in range(rounds):
            tell(f"round {turn + 1} of {rounds}")
            for batch in BATCHES:
                for entry in entries:
                    entry.add("model", batch, entry.side.ask("model", batch=batch))
                    files = _files(entry.tests[index % len(entry.tests)] for index in range(batch))
                    entry.add("bytes", batch, entry.side.ask("bytes", files=files))
                answer = plain.ask("model", batch=batch, **REFERENCE_SIZE)
                others.setdefault(f"plain {batch}", []).append(answer["ms"])
                if peer is not None:
                    for of in ("model", "backbone"):
                        answer = peer.ask("model", of=of, batch=batch, **REFERENCE_SIZE)
                        others.setdefault(f"{of} {batch}", []).append(answer["ms"])
        rows = [row for entry in entries for row in _rows(entry, accuracy, tell)]
    document: dict[str, Any] = {
        "threads": threads,
        "rounds": rounds,
        "rows": rows,
        "unavailable": unavailable,
        "reference": {
            "name": "torchvision ResNet-18 up to layer3, fp32, 256x256",
            "model_ms": {str(batch): _median(others[f"plain {batch}"]) for batch in BATCHES},
        },
    }
    if peer is not None:
        document["peer"] = {
            **fits["peer"],
            "model_ms": {str(batch): _median(others[f"model {batch}"]) for batch in BATCHES},
            "backbone_ms": {str(batch): _median(others[f"backbone {batch}"]) for batch in BATCHES},
        }
        document["fit"] = fits["ours"]
        document["ratios"] = _ratios(document)
    return document


def _rows(entry: _Entry, accuracy: bool, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    hello = entry.side.hello
    figures: dict[str, Any] = {}
    if accuracy:
        tell(f"evaluating {entry.version.algorithm} {hello['runtime']} {hello['precision']}")
        defective = [image.is_defective for image in entry.tests]
        figures = entry.side.ask("auroc", files=_files(entry.tests), defective=defective)
    peak = entry.side.ask("peak")["mb"]
    rows = []
    for batch in BATCHES:
        whole = _median(entry.times["bytes", batch])
        rows.append(
            {
                "detector": entry.version.algorithm,
                "model_version": entry.version.pk,
                "runtime": hello["runtime"],
                "precision": hello["precision"],
                "input_size": hello["input_size"],
                "batch": batch,
                "model_ms": _median(entry.times["model", batch]),
                "bytes_to_verdict_ms": whole,
                "images_per_second": round(1000 / whole, 2),
                "peak_mb": peak,
                "artifact_mb": round(entry.version.artifact_bytes / 1e6, 1),
                "load_seconds": hello["load_seconds"],
                **figures,
            }
        )
    return rows


def _test_images(version: ModelVersion) -> list[DatasetImage]:
    dataset = Dataset.objects.filter(snapshot=version.dataset_snapshot).first()
    images = images_of(dataset, "test") if dataset else []
    if not images:
        raise UserError(
            f"{version} has no test images here to be measured with; import its data set with a test split."
        )
    return images


def _files(images: Iterable[DatasetImage]) -> list[str]:
    return [image.asset.file.path for image in images]


def _fits(
    versions: Sequence[ModelVersion], python: str, threads: int, open_sides: ExitStack, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The peer and our PaDiM fitted on the same images, one after the other; the peer stays open as `side`."""
    padim = next((version for version in versions if version.algorithm == "padim"), None)
    dataset = Dataset.objects.filter(snapshot=padim.dataset_snapshot).first() if padim else None
    if padim is None or dataset is None:
        raise UserError("The peer is a PaDiM with ResNet-18: train such a version on a data set that is here first.")
    options = "padim" if padim.preprocessing["align"]["chosen"] == "pose" else "padim:align=none,illumination=none"
    tell(f"fitting {options}")
    command = [*CONTENDER, "fit", "--detector", options, "--backbone", padim.backbone]
    with Side(command, threads=threads) as side:
        training = images_of(dataset, "train")
        ours = {**side.hello, "images": len(training), **side.ask("fit", files=_files(training))}
    folder = Path(open_sides.enter_context(tempfile.TemporaryDirectory(prefix="peer-")))
    for split in ("train", "test"):
        for image in images_of(dataset, split):
            link = folder / dataset.name / image.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(image.asset.file.path)
    tell("fitting the peer")
    try:
        peer = open_sides.enter_context(Side(_peer_command(python, folder / dataset.name), threads=threads))
    except (SideFailed, OSError) as error:
        raise UserError(f"The peer does not run with {python}: {error}") from error
    return {"ours": ours, "peer": peer.hello, "side": peer}


def _peer_command(python: str, category: Path) -> list[str]:
    """What starts the peer on a folder in MVTec layout, with the weights of our ResNet-18."""
    from modelzoo.detectors.backbones.weights import resolve_weights

    weights = resolve_weights("resnet18").path
    return [python, "-m", PEER, "--category", str(category), "--weights", str(weights)]


def _ratios(document: dict[str, Any]) -> dict[str, Any]:
    """How many times quicker than the peer and than a plain backbone, by detector, runtime, precision and batch."""
    peer, plain, ours = document["peer"], document["reference"], document["fit"]
    return {
        "fit_times_faster": round(peer["fit"]["seconds"] / ours["seconds"], 2),
        "fit_share_of_memory": round(ours["peak_mb"] / peer["fit"]["peak_mb"], 2),
        "model": [
            {
                **{name: row[name] for name in ("detector", "runtime", "precision", "batch")},
                "times_faster_than_peer": round(peer["model_ms"][str(row["batch"])] / row["model_ms"], 2),
                "times_faster_than_plain_backbone": round(plain["model_ms"][str(row["batch"])] / row["model_ms"], 2),
            }
            for row in document["rows"]
        ],
    }


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = [
        f"{row['detector']:<12} {row['runtime']:<12} {row['precision']:<5} batch {row['batch']:>2}: "
        f"model {row['model_ms']:7.2f} ms/image, bytes to score {row['bytes_to_verdict_ms']:7.2f} ms/image, "
        f"{row['images_per_second']:6.1f} images/s, peak {row['peak_mb']:.0f} MB, loaded in {row['load_seconds']:.2f} s"
        + (f", AUROC {row['auroc']:.4f}" if row.get("auroc") is not None else "")
        for row in document["rows"]
    ]
    reference = document["reference"]
    lines.append(f"{reference['name']}: " + _of_batches(reference["model_ms"]))
    if "peer" in document:
        peer, ratios = document["peer"], document["ratios"]
        lines.append(
            f"{peer['name']}: {_of_batches(peer['model_ms'])}; its backbone {_of_batches(peer['backbone_ms'])}"
        )
        lines.append(
            f"fit: {document['fit']['seconds']} s and {document['fit']['peak_mb']:.0f} MB, the peer "
            f"{peer['fit']['seconds']} s and {peer['fit']['peak_mb']:.0f} MB: {ratios['fit_times_faster']} times "
            f"faster with {ratios['fit_share_of_memory']:.0%} of the memory"
        )
        lines += [
            f"{row['detector']} {row['runtime']} {row['precision']} batch {row['batch']}: "
            f"{row['times_faster_than_peer']} times faster than the peer, "
            f"{row['times_faster_than_plain_backbone']} times faster than the plain backbone"
            for row in ratios["model"]
        ]
    lines += [f"not measured: {row['name']}: {row['because']}" for row in document["unavailable"]]
    return "\n".join(lines)


def _of_batches(figures: dict[str, float]) -> str:
    return ", ".join(f"{value:.2f} ms at batch {batch}" for batch, value in figures.items())


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)
