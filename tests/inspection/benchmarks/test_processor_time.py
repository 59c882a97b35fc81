"""Processor time by stage: which stage a sample counts for, and figures of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from common.errors import UserError
from inspection.benchmarks import processor_time

_WORKER = "main (celery/__main__.py:15);trace_task (celery/app/trace.py:10)"


def test_the_innermost_known_function_tells_the_stage() -> None:
    text = "\n".join(
        [
            f"{_WORKER};judge_claimed (inspection/judging/worker.py:160);_score_step (modelzoo/loading/scoring.py:9) 7",
            f"{_WORKER};judge_claimed (inspection/judging/worker.py:188);execute (sqlite3/base.py:3) 2",
            f"{_WORKER};_receive (kombu/transport/redis.py:44) 1",
            "serve (somewhere.py:1);A.service (mvtec_site/webserver/channel.py:8);TestImageView.post (api.py:3) 4",
            "run (other.py:1) 5",
        ]
    )
    expected = {"model": 7, "record": 2, "take the message": 1, "receive": 4, "other": 5}
    assert processor_time.stages_of(text) == Counter(expected)


def test_what_a_program_below_used_is_measured_and_nothing_else() -> None:
    loop = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(60)"
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with processor_time.measured(idle.pid) as used:
            time.sleep(0.2)
        assert sum(used.by_process.values()) < 0.1
        spin = subprocess.Popen([sys.executable, "-c", f"import time\ntime.sleep(2)\n{loop}"])
        try:
            with processor_time.measured(spin.pid) as used:
                until = time.monotonic() + 30
                while _seconds(spin.pid) < 0.3 and time.monotonic() < until:
                    time.sleep(0.05)
            assert 0.1 < sum(used.by_process.values()) < 3
        finally:
            spin.kill()
            spin.wait()
    finally:
        idle.kill()
        idle.wait()


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_py_spy_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_time.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UserError, match="py-spy"), processor_time.measured(os.getpid()):
        pass
