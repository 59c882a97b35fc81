"""What `manage.py benchmark` measures: each app names its own in `<app>/benchmarks/registered.py` as `BENCHMARKS`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Benchmark:
    """Something to measure, and how to say what came out.

    `measure` takes the options that `arguments` offered and a way to tell how far it is; it returns figures as plain
    JSON. Where several apps have figures of one name, these are one document, in the order of the apps. One whose
    `interrupted` is true has what was measured until then: it is printed, and the command ends with 130.
    """

    name: str
    help: str
    measure: Callable[[Mapping[str, Any], Tell], dict[str, Any]]
    as_text: Callable[[dict[str, Any]], str]
    arguments: Callable[[ArgumentParser], None] = lambda parser: None


def benchmarks_by_name() -> dict[str, list[Benchmark]]:
    """All that there are, by name. Their modules load nothing heavy by themselves."""
    benchmarks: dict[str, list[Benchmark]] = {}
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, "benchmarks.registered"):
            for benchmark in import_module(f"{app.name}.benchmarks.registered").BENCHMARKS:
                benchmarks.setdefault(benchmark.name, []).append(benchmark)
    return benchmarks
