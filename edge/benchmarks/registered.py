"""Figures of the line's edge."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.benchmarks import Benchmark, Tell
from common.errors import UserError

_MAX_RATE, _MAX_SECONDS = 100.0, 3600.0


def _rates(text: str) -> list[float]:
    try:
        rates = [float(word) for word in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0.1 <= rate <= _MAX_RATE for rate in rates):
        raise UserError(f"--rates must be numbers from 0.1 to {_MAX_RATE:g}, with commas between them.")
    return rates


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rates", default="1,5,10", help="parts per second, one after the other (default 1,5,10)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each rate (default 30)")
    parser.add_argument(
        "--wire",
        choices=("webhook", "mqtt"),
        default="webhook",
        help="webhook: frames by HTTP, verdicts by a signed webhook; mqtt: both over a broker on loopback",
    )
    parser.add_argument("--cores", type=int, default=2, help="that all processes share (default 2)")
    parser.add_argument("--detector", default="padim", help="trained for it (default padim)")
    parser.add_argument("--image-size", type=int, default=256, help="side in pixels that it looks at (default 256)")
    parser.add_argument("--backbone", default="auto", help="pretrained network (default auto)")
    parser.add_argument("--dataset", type=Path, help="a folder in MVTec layout (default: made-up parts)")


def _edge(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    from edge.benchmarks import line, system

    rates = _rates(options["rates"])
    if not 0.5 <= options["seconds"] <= _MAX_SECONDS:
        raise UserError(f"--seconds must be from 0.5 to {_MAX_SECONDS:g}.")
    if not 1 <= options["cores"] <= 1024 or not 32 <= options["image_size"] <= 2048:
        raise UserError("--cores must be from 1 to 1024, --image-size from 32 to 2048.")
    line.require_installed(options["wire"])
    with system.own_system(
        detector=options["detector"],
        image_size=options["image_size"],
        backbone=options["backbone"],
        dataset=options["dataset"],
        cores=options["cores"],
        tell=tell,
    ) as made:
        return line.measure(made, rates=rates, seconds=options["seconds"], wire=options["wire"], tell=tell)


def _text(document: dict[str, Any]) -> str:
    from edge.benchmarks import line

    return line.as_text(document)


BENCHMARKS = [Benchmark("edge", "camera frame to verdict on the wire, at several rates", _edge, _text, _arguments)]
