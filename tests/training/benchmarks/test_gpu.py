"""The check of a GPU: its dry run as people start it, its report, and its lines for CUDA on a pretend GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.base import MapFunction
from modelzoo.detectors.engines.native import TorchEngine
from tests.environment import ROOT
from tests.modelzoo.detectors.pretend_gpu import patch_cuda
from training.benchmarks.gpu import check, correctness, facts, memory, setting, speed, throughput
from training.benchmarks.gpu.check import SECTIONS, Section, run
from training.benchmarks.gpu.report import STATUSES, Reporter
from training.benchmarks.gpu.setting import DRY, Setting

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "device", "passed", "seconds", "budget_seconds", "sections"],
    "properties": {
        "schema": {"const": 1},
        "device": {"enum": ["cuda", "cpu"]},
        "passed": {"type": "boolean"},
        "seconds": {"type": "number"},
        "budget_seconds": {"type": "number"},
        "sections": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "status", "seconds", "checks", "rows"],
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": list(STATUSES)},
                    "seconds": {"type": "number"},
                    "reason": {"type": "string"},
                    "error": {"type": "string"},
                    "rows": {"type": "array", "items": {"type": "object"}},
                    "checks": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["name", "value", "limit", "passed"],
                            "properties": {
                                "name": {"type": "string"},
                                "value": {"type": ["number", "null"]},
                                "limit": {"type": "number"},
                                "passed": {"type": "boolean"},
                            },
                        },
                    },
                },
            },
        },
    },
}


def section(name: str, *, share: float = 1.0, decides: bool = True, is_required: bool = False) -> Section:
    return Section(name, f"tests.training.benchmarks.gpu_sections:{name}", share, decides, is_required)


def statuses(report: dict[str, Any]) -> list[str]:
    jsonschema.validate(report, SCHEMA)
    return [result["status"] for result in report["sections"]]


def test_a_section_that_fails_costs_itself_alone():
    names = ("dead", "broken", "too_far", "fine")
    report = run("cpu", 120, [*map(section, names), section("lacking", decides=False)])
    assert statuses(report) == ["failed", "failed", "failed", "passed", "skipped"]
    assert not report["passed"]
    dead, broken, too_far, fine, lacking = report["sections"]
    assert "without an answer" in dead["error"]
    assert (broken["error"], broken["rows"]) == ("ValueError: the matrix is singular", [{"seen": 2}])
    assert too_far["checks"] == [{"name": "small enough", "value": None, "limit": 0.2, "passed": False}]
    assert fine["rows"] == [{"seen": 1.0, "missing": None}]
    assert lacking["reason"] == "there is no decoder"


def test_what_the_budget_does_not_reach_is_listed():
    report = run("cpu", 9, [section("fine"), section("slow", decides=False), section("broken")])
    assert statuses(report) == ["passed", "stopped", "not run"]
    assert report["sections"][1]["rows"] == [{"seen": 3}]
    assert not report["passed"], "a check that was not made has not passed"


def test_figures_alone_may_be_missing():
    sections = [section("fine"), section("lacking", decides=False), section("slow", share=0.01, decides=False)]
    report = run("cpu", 120, sections)
    assert statuses(report) == ["passed", "skipped", "stopped"]
    assert report["passed"]


def test_without_what_all_need_nothing_else_is_run():
    report = run("cpu", 120, [section("broken", is_required=True), section("fine")])
    assert statuses(report) == ["failed", "not run"]
    assert report["sections"][1]["reason"] == "broken failed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so(capfd):
    assert check.main(["--seconds", "60"]) == 1
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert statuses(report) == ["failed"] + ["not run"] * (len(SECTIONS) - 1)
    assert "NVIDIA" in report["sections"][0]["error"]
    assert "facts: failed" in err


@pytest.mark.slow
def test_the_dry_run():
    """As people start it: everything that the processor can do is done, with all detectors."""
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check.sh", "--device", "cpu"],
        # One thread: two wait for each other where something else shares the cores.
        env=os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    found = dict(zip([result["name"] for result in report["sections"]], statuses(report), strict=True))
    assert list(found) == [section.name for section in SECTIONS]
    assert {name for name, status in found.items() if status == "skipped"} == {"facts", "other runtimes"}
    assert {name for name, status in found.items() if status == "passed"} == {"fit", "correctness", "out of memory"}
    rows = {result["name"]: result["rows"] for result in report["sections"]}
    assert set(registry.names()) <= {row["model"] for row in rows["correctness"]}
    assert [row["processes"] for row in rows["workers"]] == [1, 4]


def test_a_folder_of_wheels_that_is_not_there_is_said():
    done = subprocess.run([ROOT / "scripts" / "gpu_check.sh", "/no/wheels"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "There is no folder /no/wheels" in done.stderr


class Notes(Reporter):
    """A reporter in the same process."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def row(self, **facts: Any) -> None:
        self.rows.append(facts)

    def check(self, name: str, value: float, limit: float) -> None:
        if not value <= limit:
            self.failed.append(name)


class Event:
    def __init__(self, **_: Any) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, last: Event) -> float:
        return 1000 * (last.at - self.at)


@pytest.fixture
def gpu(monkeypatch):
    """A pretend GPU with some memory, of which a batch takes as much as it has images."""
    fraction, images = [1.0], [0]
    total = 2**30
    properties = SimpleNamespace(name="pretend", major=9, minor=0, total_memory=total, multi_processor_count=1)
    patches = {
        "Event": Event,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "max_memory_reserved": lambda: images[0] * 2**20,
        "get_device_properties": lambda _: properties,
        "set_per_process_memory_fraction": lambda share: fraction.__setitem__(0, share),
    }
    for name, patch in patches.items():
        monkeypatch.setattr(torch.cuda, name, patch)

    class LimitedEngine(TorchEngine):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            maps: MapFunction = self.map_function

            def limited(batch: torch.Tensor) -> torch.Tensor:
                images[0] = len(batch)
                if len(batch) * 2**20 > fraction[0] * total:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return maps(batch)

            self.map_function = limited

    monkeypatch.setattr(memory, "TorchEngine", LimitedEngine)
    monkeypatch.setattr(setting, "FULL", DRY)
    yield from patch_cuda(monkeypatch)


@pytest.mark.slow
def test_the_lines_for_cuda_on_a_pretend_gpu(gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("BACKBONE_WEIGHTS_DIR", "")  # the check names a folder of its own there
    here = Setting("cuda", tmp_path, time.monotonic() + 600)
    notes = Notes()
    for work in (
        facts.facts,
        correctness.fit,
        correctness.correctness,
        memory.out_of_memory,
        memory.padim_matrices,
        speed.speed,
        throughput.training,
        throughput.decoding,
    ):
        work(here, notes)
    # What a pretend GPU computes is what the CPU computes, so every check passes.
    assert notes.failed == []
    assert {"cut_to": 2, "batch": 4} in notes.rows
    measured = {row["way"] for row in notes.rows if "ms_per_image_from_host" in row}
    assert measured >= {"fp32", "tf32", "bf16", "fp32 portable", "fp16 autocast"}
    assert [row["device"] for row in notes.rows if "seconds_per_epoch" in row] == ["cpu", "cuda", "cuda", "cuda"]
