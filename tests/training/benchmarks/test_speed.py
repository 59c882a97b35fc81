"""`benchmark speed`: rounds, ratios, emulated processors, a busy machine, interruption; stand-ins speak for sides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

from modelzoo.models import ModelVersion
from tests.environment import ROOT
from tests.mvtec_site.test_commands import fails, run
from training.benchmarks import machine, speed, speed_report

# The first argument is what a test tells it, the others are the comparison's. Its n-th answer for a batch takes n times
# as long as the first; `dies_after`: it ends instead of giving one more answer.
STAND_IN = """
import json, os, sys, time
from training.benchmarks.protocol import serve
told = json.loads(sys.argv[1])
what = "peer" if "--category" in sys.argv else sys.argv[2]
count = {}
answers = [0]
def measure(batch=None, of="model", files=(), **_):
    answers[0] += 1
    if answers[0] > told.get("dies_after", 10**9):
        os._exit(1)
    time.sleep(told.get("sleep", 0))
    if "log" in told:
        with open(told["log"], "a") as log:
            log.write(f"{os.getpid()} {what} {of} {batch or len(files)}\\n")
    nth = count[of, batch] = count.get((of, batch), 0) + 1
    return {"ms": 10.0 * nth}
hello = {
    "name": "stand-in",
    "choice": {"runtime": "torch", "precision": "fp32"} | told.get("choice", {}),
    "input_size": [256, 256],
    "load_seconds": 0.5,
    "fit": {"seconds": 1000.0, "of_which_validation": 400.0, "images": 12, "validation_images": 8, "peak_mb": 1e6},
}
serve(lambda: (hello, {"model": measure, "bytes": measure}))
"""


class StandIns:
    """What the sides are told; `versions` is what is measured."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "stand_in.py"
        self.script.write_text(STAND_IN)
        self.versions: Any = [
            SimpleNamespace(algorithm=name, artifact_path=folder, artifact_sha256="0", artifact_bytes=58e6, pk=pk)
            for pk, name in enumerate(["padim", "patchcore"], start=1)
        ]

    def command(self, **told: Any) -> list[str]:
        return [sys.executable, str(self.script), json.dumps(told)]


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    test_image = SimpleNamespace(is_defective=False, asset=SimpleNamespace(file=SimpleNamespace(path="part.png")))
    monkeypatch.setattr(speed, "_test_images", lambda version: [test_image])
    return StandIns(tmp_path)


def measure(versions: Any, **options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "runtimes": ["torch"],
        "precisions": ["fp32"],
        "device": "cpu",
        "rounds": 3,
        "threads": 1,
        "accuracy": False,
        "peer_python": "",
        "compare_fit": False,
        "isa": "native",
        "tell": lambda text: None,
    }
    return speed.measure(versions, **defaults | options)


# ---------------------------------------------------------------- rounds and ratios
def test_a_ratio_is_of_times_of_the_same_round() -> None:
    ratio = speed_report.pairwise([20.0, 30.0, None, 80.0], [10.0, 10.0, 10.0, 20.0, 5.0])
    assert ratio == {"median": 3.0, "least": 2.0, "greatest": 4.0, "by_round": [2.0, 3.0, None, 4.0]}
    assert speed_report.pairwise([None], [10.0]) is None
    assert speed_report.pairwise([], [10.0]) is None


def test_each_round_is_kept_and_sides_are_asked_there_and_back(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command(log=str(log)))
    document = measure(stand_ins.versions[:1])
    assert (document["rounds"], document["interrupted"]) == (3, False)
    for row in document["rows"]:
        # Each batch has figures of its own: its n-th answer takes n times 10 ms.
        assert row["model_ms_by_round"] == [10.0, 20.0, 30.0]
        assert row["model_ms"] == 20.0
    assert document["reference"]["model_ms_by_round"]["8"] == [10.0, 20.0, 30.0]
    assert [row["batch"] for row in document["ratios"]] == [1, 8, 16]
    once = {"median": 1.0, "least": 1.0, "greatest": 1.0, "by_round": [1.0, 1.0, 1.0]}
    assert all(row["plain_backbone"] == once for row in document["ratios"])
    sides = [line.split()[1] for line in log.read_text().splitlines() if line.endswith("model 8")]
    assert sides == ["model", "model", "plain", "plain", "model", "model", "model", "model", "plain"]
    text = speed_report.as_text(document)
    assert "padim torch fp32 batch 16: 1.00 times as fast as the plain backbone (1.00 to 1.00)" in text


def test_a_side_that_ends_takes_nothing_from_the_others(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two figures at three batches: six answers a round.
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command(dies_after=8))
    document = measure(stand_ins.versions)
    [first, *_, last] = [row for row in document["rows"] if row["detector"] == "padim"]
    assert (first["model_ms_by_round"], last["model_ms_by_round"]) == ([10.0, 20.0, None], [10.0, None, None])
    assert document["reference"]["model_ms_by_round"]["16"] == [10.0, 20.0, None]
    assert {row["name"] for row in document["unavailable"]} == {
        "padim torch fp32",
        "patchcore torch fp32",
        "plain backbone",
    }
    assert "It ended in round 2" in document["unavailable"][0]["because"]


def test_the_race_at_load_time_is_printed(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = {"precision": "bf16", "because": "it was the quickest", "measured": [{"precision": "bf16", "ms": 4.5}]}
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command(choice=choice))
    document = measure(stand_ins.versions[:1], precisions=["auto"], rounds=1)
    assert document["rows"][0]["precision"] == "bf16"
    assert document["races"] == [{"name": "padim torch auto", "choice": {"runtime": "torch", **choice}}]
    lines = speed_report.as_text(document).splitlines()
    assert lines[lines.index("padim torch auto: torch bf16, it was the quickest") + 1] == "  precision bf16, ms 4.5"


# ---------------------------------------------------------------- emulated processors
@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another processor in place of this one: by its flags in /proc/cpuinfo."""
    monkeypatch.setattr(machine, "_PROC", tmp_path)

    def replace(flags: str) -> None:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")

    return replace


def test_a_processor_is_not_asked_for_instructions_that_it_lacks(
    stand_ins: StandIns, processor: Callable[[str], None]
) -> None:
    with pytest.raises(speed.UserError, match=r"not known here .* use --isa native"):
        measure(stand_ins.versions, isa="avx2")
    processor("fpu sse2 avx2 fma")
    with pytest.raises(speed.UserError, match=r"lacks avx512bw, avx512dq, avx512f, avx512vl: avx512 cannot"):
        measure(stand_ins.versions, isa="avx512")
    assert machine.limits("avx2")["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert machine.limits("native") == {}


def test_a_runtime_that_nothing_limits_is_not_measured_as_if_it_were(
    stand_ins: StandIns, processor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor("avx2 fma avx512f")
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command(choice={"runtime": "onnxruntime"}))
    with pytest.raises(speed.UserError, match="nothing limits it to avx2"):
        measure(stand_ins.versions, isa="avx2", runtimes=["onnxruntime"])
    assert measure(stand_ins.versions, rounds=1)["rows"][0]["runtime"] == "onnxruntime"


def test_a_side_that_used_avx512_all_the_same_is_named(
    stand_ins: StandIns, processor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor("avx2 fma")
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command())
    document = measure(stand_ins.versions, isa="avx2", rounds=1)
    for side in (*document["rows"], document["reference"]):
        side["avx512_seen"] = False
    assert "Linux saw no side use AVX-512" in speed_report.as_text(document)
    document["rows"][-1]["avx512_seen"] = True
    assert "do not believe these: patchcore torch fp32." in speed_report.as_text(document)
    document["rows"][-1]["avx512_seen"] = None
    assert "not known here (no arch_status" in speed_report.as_text(document)


LIBRARIES = """
import json, numpy, torch
print(json.dumps({
    "aten": torch.backends.cpu.get_cpu_capability(),
    "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    "numpy": numpy._core._multiarray_umath.__cpu_features__["X86_V4"],
}), flush=True)
with torch.inference_mode():
    torch.nn.Conv2d(64, 64, 3)(torch.rand(2, 64, 56, 56))
"""


OPENVINO = "import openvino; print(openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"


def limited_to_avx2(script: str) -> list[str]:
    """Lines that a Python prints whose libraries are limited."""
    try:
        limits = machine.limits("avx2")
    except speed.UserError as error:
        pytest.skip(str(error))
    environment = os.environ | limits | {"ONEDNN_VERBOSE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
def test_libraries_keep_to_the_limit() -> None:
    lines = limited_to_avx2(LIBRARIES)
    [seen] = [json.loads(line) for line in lines if line.startswith("{")]
    assert seen == {"aten": "AVX2", "bf16": False, "numpy": False}
    assert [line.rpartition(":")[2] for line in lines if ",cpu,isa:" in line] == ["Intel AVX2"]


@pytest.mark.slow
def test_openvino_keeps_to_the_limit() -> None:
    pytest.importorskip("openvino")
    if Version(metadata.version("openvino")) < Version("2026.4.1"):
        pytest.skip("older ones limit only their oneDNN")
    [capabilities] = limited_to_avx2(OPENVINO)
    assert "FP32" in capabilities
    assert "BF16" not in capabilities


# ---------------------------------------------------------------- a busy machine
STAT = """cpu  700 10 70 9000 50 7 3 20 5 0
cpu0 100 10 20 4000 25 1 2 10 5 0
cpu1 600 0 50 5000 25 6 1 10 0 0
cpu10 9 9 9 9 9 9 9 9 9 9
intr 1 2 3
"""


def test_what_others_computed_is_everything_but_idling_and_the_sides() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    # User, nice, system, interrupts and stolen time of the processors that may be used.
    assert machine.seconds_computed(STAT, {0, 1}) == (143 + 667) / tick
    assert machine.seconds_computed(STAT, {1}) == 667 / tick
    process = "71 (a (strange) name 9) S 1 71 71 0 -1 4194560 9 9 9 9 100 20 3 4 20 0 2 0 5 9 9"
    assert machine.seconds_of_process(process) == (100 + 20 + 3 + 4) / tick
    before, after = machine._Reading(10.0, 100.0, 30.0), machine._Reading(20.0, 125.0, 50.0)
    assert machine.busy_by_others(before, after) == pytest.approx(0.5)
    assert machine.busy_by_others(before, machine._Reading(20.0, 119.0, 50.0)) == 0.0


@pytest.mark.parametrize(
    ("others", "threads", "processors", "disturbed"),
    [
        (0.05, 2, 2, False),
        (0.2, 2, 2, True),
        (0.2, 1, 2, False),
        (6.0, 2, 8, False),
        (6.2, 2, 8, True),
        (0.2, 4, 2, True),
    ],
)
def test_a_round_is_disturbed_when_others_take_what_the_sides_need(
    others: float, threads: int, processors: int, disturbed: bool
) -> None:
    assert machine.is_disturbed(others, threads, processors) is disturbed


def test_half_of_the_rounds_disturbed_is_too_much() -> None:
    load = machine.OtherLoad(threads=2)
    load.processors = {0, 1}
    load.rounds = [0.0, 0.5, 0.0, None]
    assert (load.document()["disturbed_rounds"], load.document()["too_busy"]) == (1, False)
    assert machine.load_sentence(load.document()).startswith("Quiet enough: 1 rounds")
    load.rounds.append(1.5)
    assert load.document()["too_busy"] is True
    assert "too busy to believe these figures: 2 of 5 rounds" in machine.load_sentence(load.document())


def test_without_proc_the_load_is_not_known(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PROC", Path("/nowhere"))
    monkeypatch.setattr(speed, "CONTENDER", stand_ins.command())
    document = measure(stand_ins.versions[:1], rounds=2)
    assert document["load"]["busy_by_others"] == [None, None]
    assert document["load"]["too_busy"] is None
    assert "is not known here" in speed_report.as_text(document)


# ---------------------------------------------------------------- interruption
COMMAND = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mvtec_site.settings"
django.setup()
from django.core.management import execute_from_command_line
from training.benchmarks import registered, speed
version = SimpleNamespace(algorithm="padim", artifact_path=Path("."), artifact_sha256="0", artifact_bytes=58e6, pk=1)
image = SimpleNamespace(asset=SimpleNamespace(file=SimpleNamespace(path="part.png")))
registered._versions = lambda *of: [version]
speed._test_images = lambda version: [image]
speed.CONTENDER = sys.argv[1:4]
execute_from_command_line(["manage.py", "benchmark", "speed", *sys.argv[4:]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_was_measured_until_an_interruption_is_printed(
    stand_ins: StandIns, tmp_path: Path, ending: signal.Signals
) -> None:
    """The real command gets a real signal in its third round, while a side would take long to answer."""
    log = tmp_path / "log"
    options = ["--rounds", "9", "--precisions", "fp32", "--threads", "1", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *stand_ins.command(sleep=0.2, log=str(log)), *options],
        cwd=ROOT,
        env=os.environ | {"VAR_DIR": str(tmp_path / "var"), "DATABASE_URL": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if "round 3 of 9" in line:
            break
    process.send_signal(ending)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(said) + errors
    assert "Traceback" not in errors
    document = json.loads(out)
    assert (document["interrupted"], document["rounds"], document["rounds_requested"]) == (True, 2, 9)
    assert [row["model_ms_by_round"][:2] for row in document["rows"]] == [[10.0, 20.0]] * 3
    assert speed_report.as_text(document).startswith("Interrupted: 2 of 9 rounds are complete; what follows")
    # Its sides are gone as well, the one too that was asked at that moment.
    pids = {int(line.split()[0]) for line in log.read_text().splitlines()}
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# ---------------------------------------------------------------- with a trained version
def train_small(folder: Path) -> dict[str, Any]:
    options = {"image_size": 64, "backbone": "efficientnet_lite0", "option": ["n_features=12"]}
    answer: dict[str, Any] = run("train", dataset=str(folder), model="padim", **options)
    return answer


trained = pytest.mark.usefixtures("lease_renewed_at_the_end")


@trained
@pytest.mark.django_db
@pytest.mark.sqlite_is_enough
@pytest.mark.slow
def test_every_batch_size_of_every_precision_is_measured_beside_a_peer(
    dataset_folder: Path, stand_ins_of_peer: list[list[str]]
) -> None:
    """A stand-in speaks for the peer, which is not installed here: the protocol, its folder of images, the ratios."""
    version = train_small(dataset_folder)["model_version"]
    options = {"rounds": 1, "threads": 1, "precisions": ["fp32", "int8"], "peer_python": sys.executable}
    document = run("benchmark", "speed", **options, accuracy=True)
    rows = document["rows"]
    assert [row["batch"] for row in rows] == [1, 8, 16]
    for row in rows:
        assert (row["detector"], row["runtime"], row["precision"]) == ("padim", "torch", "fp32")
        assert row["model_version"] == version
        assert row["model_ms_by_round"] == [row["model_ms"]]
        assert row["images_per_second"] == pytest.approx(1000 / row["bytes_to_verdict_ms"], rel=0.01)
        assert row["peak_mb"] > 100
        assert row["auroc"] == pytest.approx(ModelVersion.objects.get().metrics["image"]["auroc"])
    # PyTorch itself offers no int8: said, not hidden.
    assert [row["name"] for row in document["unavailable"]] == ["padim torch int8"]
    assert "int8" in document["unavailable"][0]["because"]
    [seen] = stand_ins_of_peer
    assert len(seen) == 20
    assert {name.split("/")[0] for name in seen} == {"train", "test"}
    assert document["peer"]["model_ms"]["1"] == 10.0
    for row, ratio in zip(rows, document["ratios"], strict=True):
        assert ratio["peer"]["median"] == pytest.approx(10.0 / row["model_ms"], rel=0.01, abs=0.001)
        assert ratio["peer_backbone"]["by_round"] == [ratio["peer_backbone"]["median"]]
    fit = document["fit"]
    assert fit["ours"]["images"] == 12
    assert fit["times_faster"] == pytest.approx(1000 / fit["ours"]["seconds"], rel=0.01)
    assert fit["times_faster_without_its_validation"] == pytest.approx(0.6 * fit["times_faster"], rel=0.01)
    text = speed_report.as_text(document)
    assert "fp32  batch  1" in text
    assert "times as fast as the peer" in text

    stand_ins_of_peer.clear()
    quick = run("benchmark", "speed", rounds=1, threads=1, detectors=["padim"], no_fit=True, peer_python=sys.executable)
    assert "fit" not in quick
    assert "fit: not compared" in speed_report.as_text(quick)
    # Two test images of each kind are enough to start the peer.
    assert len([name for name in stand_ins_of_peer[0] if name.startswith("test/")]) == 4


@pytest.fixture
def stand_ins_of_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The images that each peer was given, one list for each that was started."""
    seen: list[list[str]] = []
    sides = StandIns(tmp_path)

    def command(python: str, category: Path) -> list[str]:
        seen.append(sorted(str(path.relative_to(category)) for path in category.rglob("*.png") if path.stat().st_size))
        return [*sides.command(), "--category", str(category)]

    monkeypatch.setattr(speed, "_peer_command", command)
    return seen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no model version yet"),
        ({"rounds": 0}, "at least 1"),
        ({"model_version": ["77"]}, "77"),
    ],
)
def test_speed_says_what_is_wrong(db: None, options: dict[str, object], said: str) -> None:
    fails("benchmark", "speed", match=said, **options)


@trained
@pytest.mark.django_db
@pytest.mark.sqlite_is_enough
@pytest.mark.slow
def test_a_peer_that_does_not_run_is_said(dataset_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_small(dataset_folder)
    monkeypatch.setattr(speed, "_peer_command", lambda python, category: [python, "-c", "raise SystemExit(3)"])
    options = {"rounds": 1, "threads": 1, "precisions": ["fp32"]}
    fails("benchmark", "speed", **options, peer_python=sys.executable, match="The peer")
    fails(
        "benchmark", "speed", **options, detectors=["patchcore"], match="no version of patchcore yet; there are padim"
    )
