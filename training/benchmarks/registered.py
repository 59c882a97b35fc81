"""Figures of detectors: accuracy, calibration, speed. Nothing is kept: no versions, no records."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from common.benchmarks import Benchmark, Tell
from common.errors import UserError
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import find_version, newest_of_each_algorithm
from training.benchmarks.machine import ISAS, NATIVE
from training.datasets.imports import find_dataset
from training.datasets.selectors import datasets_with_tests


def _accuracy_arguments(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--datasets", nargs="+", help="names of imported data sets, or paths")
    which.add_argument("--all", action="store_true", help="all imported data sets that have good and defective tests")
    parser.add_argument(
        "--detectors",
        nargs="*",
        default=["padim", "patchcore", "autoencoder", "auto"],
        help="padim, or with options: padim:align=none,floor=1 (default: all, and auto; nothing: the peer alone)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 (default 3)")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    _peer_argument(parser)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the peer (default: all cores)")
    _common(parser)


def _calibration_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help="name of an imported data set, or a path")
    parser.add_argument("--detector", default="padim", help="as for accuracy (default padim)")
    parser.add_argument("--splits", type=int, default=30, help="random splits (default 30)")
    parser.add_argument("--false-reject-rate", type=float, default=0.1, help="asked for (default 0.1)")
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=Deployment.Precision.values,
        default=["fp32"],
        help="in which unseen parts are scored (default fp32)",
    )
    _common(parser)


def _speed_arguments(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model-version", nargs="+", default=[], help="ids; default: the newest version of each algorithm"
    )
    which.add_argument("--detectors", nargs="+", default=[], help="only the newest versions of these algorithms")
    parser.add_argument(
        "--runtimes", nargs="+", default=["torch"], choices=Deployment.Runtime.values, help="default torch"
    )
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=Deployment.Precision.values)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default=settings.DEVICE)
    parser.add_argument("--rounds", type=int, default=7, help="medians of this many are reported (default 7)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each side (default: all cores)")
    parser.add_argument("--accuracy", action="store_true", help="evaluate each runtime and precision as well")
    parser.add_argument(
        "--isa", choices=ISAS, default=NATIVE, help="limit all sides to these instructions (default native: no limit)"
    )
    _peer_argument(parser)
    parser.add_argument(
        "--no-fit", action="store_true", help="do not compare fits; the peer is fitted on a few images to be measured"
    )


def _few_images_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--datasets", nargs="+", required=True, help="names of imported data sets, or paths")
    parser.add_argument(
        "--detectors", nargs="+", default=["padim", "patchcore"], help="as for accuracy (default padim patchcore)"
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[5, 10, 20, 50], help="good images (5 10 20 50)")
    parser.add_argument("--draws", type=int, default=3, help="random draws of each size (default 3)")
    parser.add_argument(
        "--test-images", type=int, default=10_000, help="good ones and defective ones at most (default all)"
    )
    _common(parser)


def _selection_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--datasets", nargs="+", required=True, help="names of imported data sets, or paths")
    parser.add_argument("--image-size", type=int, default=settings.IMAGE_SIZE, help="of all candidates")
    parser.add_argument("--false-reject-rate", type=float, default=0.1, help="at which defects count (default 0.1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json-file", type=Path, help="write all figures there")
    _common(parser)


def _peer_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--peer-python", default="", help="python of a virtual environment with anomalib")


def _common(parser: ArgumentParser) -> None:
    parser.add_argument("--backbone", default="auto", help="pretrained network (default auto)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default=settings.DEVICE)


def _accuracy(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from training.benchmarks import accuracy
    from training.benchmarks.peers import accuracy as peer_accuracy
    from training.benchmarks.runs import Contestant

    if min(options["seeds"], options["threads"]) < 1:
        raise UserError("--seeds and --threads must be at least 1.")
    target: Path | None = options["markdown"]
    if target and not target.parent.is_dir():
        raise UserError(f"There is no folder {target.parent} to write {target.name} to.")
    contestants = [Contestant.parse(text) for text in options["detectors"]]
    if not contestants and not options["peer_python"]:
        raise UserError("--detectors names none, and there is no --peer-python either.")
    datasets = datasets_with_tests() if options["all"] else [find_dataset(name) for name in options["datasets"]]
    if not datasets:
        raise UserError("No imported data set has good and defective test images. Import one with import_dataset.")
    seeds = range(options["seeds"])
    rows = accuracy.measure(datasets, contestants, seeds, _defaults(options), tell=tell)
    if options["peer_python"]:
        rows += peer_accuracy.measure(datasets, options["peer_python"], seeds, threads=options["threads"], tell=tell)
    if target:
        target.write_text(accuracy.summary_as_markdown(rows) + "\n" + accuracy.as_markdown(rows))
        target.with_suffix(".json").write_text(json.dumps(rows, indent=1, allow_nan=False))
    return {"rows": rows}


def _accuracy_text(document: dict[str, Any]) -> str:
    from training.benchmarks import accuracy

    rows = document["rows"]
    return accuracy.summary_as_markdown(rows) + "\n" + accuracy.as_markdown(rows)


def _calibration(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from training.benchmarks import calibration
    from training.benchmarks.runs import Contestant

    if options["splits"] < 1 or not 0 < options["false_reject_rate"] < 1:
        raise UserError("--splits must be at least 1, and --false-reject-rate lie between 0 and 1.")
    return calibration.measure(
        find_dataset(options["dataset"]),
        Contestant.parse(options["detector"]),
        _defaults(options),
        splits=options["splits"],
        rate=options["false_reject_rate"],
        precisions=list(dict.fromkeys(options["precisions"])),
        tell=tell,
    )


def _calibration_text(document: dict[str, Any]) -> str:
    from training.benchmarks import calibration

    return calibration.as_text(document)


def _few_images(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from training.benchmarks import few_images
    from training.benchmarks.runs import Contestant

    if min(options["sizes"]) < 2 or min(options["draws"], options["test_images"]) < 1:
        raise UserError("--sizes must be at least 2, --draws and --test-images at least 1.")
    return few_images.measure(
        [find_dataset(name) for name in options["datasets"]],
        [Contestant.parse(text) for text in options["detectors"]],
        sorted(set(options["sizes"])),
        _defaults(options),
        draws=options["draws"],
        max_test_images=options["test_images"],
        tell=tell,
    )


def _few_images_text(document: dict[str, Any]) -> str:
    from training.benchmarks import few_images

    return few_images.as_text(document)


def _selection(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from training.benchmarks import selection

    if not 0 < options["false_reject_rate"] < 1:
        raise UserError("--false-reject-rate must lie between 0 and 1.")
    document = selection.measure(
        [find_dataset(name) for name in options["datasets"]],
        _defaults(options) | {"image_size": options["image_size"]},
        rate=options["false_reject_rate"],
        seed=options["seed"],
        tell=tell,
    )
    if options["json_file"]:
        options["json_file"].write_text(json.dumps(document, indent=1, allow_nan=False))
    return document


def _selection_text(document: dict[str, Any]) -> str:
    from training.benchmarks import selection

    return selection.as_text(document)


def _speed(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from training.benchmarks import speed

    if min(options["rounds"], options["threads"]) < 1:
        raise UserError("--rounds and --threads must be at least 1.")
    return speed.measure(
        _versions(options["model_version"], options["detectors"]),
        runtimes=options["runtimes"],
        precisions=options["precisions"],
        device=options["device"],
        rounds=options["rounds"],
        threads=options["threads"],
        accuracy=options["accuracy"],
        peer_python=options["peer_python"],
        compare_fit=not options["no_fit"],
        isa=options["isa"],
        tell=tell,
    )


def _speed_text(document: dict[str, Any]) -> str:
    from training.benchmarks import speed_report

    return speed_report.as_text(document)


def _versions(references: list[str], algorithms: list[str]) -> list[ModelVersion]:
    """Those that were named, or the newest of each algorithm, or of these algorithms."""
    if references:
        return [find_version(reference=one) for one in references]
    newest = {version.algorithm: version for version in newest_of_each_algorithm()}
    if not newest:
        raise UserError("There is no model version yet. Train one with manage.py train.")
    if missing := [name for name in algorithms if name not in newest]:
        raise UserError(f"There is no version of {', '.join(missing)} yet; there are {', '.join(newest)}.")
    return [newest[name] for name in algorithms or newest]


def _defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `train` starts from, so that a benchmark measures what the product would do."""
    return {
        "backbone": options["backbone"],
        "device": options["device"],
        "image_size": settings.IMAGE_SIZE,
        "batch_size": settings.BATCH_SIZE,
        "epochs": settings.EPOCHS,
        "latent_dim": settings.LATENT_DIM,
        "learning_rate": settings.LEARNING_RATE,
    }


BENCHMARKS = [
    Benchmark(
        "accuracy",
        "every detector on every data set, over several seeds",
        _accuracy,
        _accuracy_text,
        _accuracy_arguments,
    ),
    Benchmark(
        "calibration",
        "does a threshold keep its promised false-reject rate?",
        _calibration,
        _calibration_text,
        _calibration_arguments,
    ),
    Benchmark(
        "few-images",
        "AUROC with 5, 10, 20, 50 and all good images, over random draws",
        _few_images,
        _few_images_text,
        _few_images_arguments,
    ),
    Benchmark(
        "selection",
        "does the choice of `train --model auto` agree with real defects?",
        _selection,
        _selection_text,
        _selection_arguments,
    ),
    Benchmark(
        "speed", "the model alone, image bytes to score, load time, memory", _speed, _speed_text, _speed_arguments
    ),
]
