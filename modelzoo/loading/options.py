"""Runtime options of commands (device, runtime, precision), as `modelzoo.loading.scoring.load_model` takes them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from modelzoo.models import Deployment


def add_runtime_options(parser: ArgumentParser, *, runtime: str = "", precision: str = "") -> None:
    """`--device`, `--runtime` and `--precision`; a default that is not given is the settings'."""
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="", help="(default DEVICE)")
    for name, choices, default in (
        ("runtime", Deployment.Runtime.values, runtime),
        ("precision", Deployment.Precision.values, precision),
    ):
        default_name = default or name.upper()
        parser.add_argument(f"--{name}", choices=choices, default=default, help=f"(default {default_name})")


def runtime_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Their values; empty where one was not given."""
    return {name: options[name] for name in ("device", "runtime", "precision")}
