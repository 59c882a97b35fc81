"""The scheduler's replay, done by a real worker in a process of its own, as it is at night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stack.conftest import new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]
_ASK = "from tuning.tasks import nightly_replay; nightly_replay()"


def test_stored_verdicts_are_replayed_by_the_worker_for_long_work() -> None:
    with new_stack(trained()) as stack:
        images = sorted(str(path) for path in Path(f"{trained().var_dir}-data").rglob("test/*/*.png"))
        stack.manage("inspect", "--model-version", "latest", *images)
        stack.start()
        stack.manage("shell", "-c", _ASK)

        def events(kind: str) -> list[dict[str, Any]]:
            lines = stack.manage("export_audit").stdout.splitlines()
            return [event for event in map(json.loads, lines) if event["kind"] == kind]

        [ended] = wait_for(lambda: events("replay.finished"), 90)
        assert '"equal":8' in ended["after"], ended["after"]
        assert ended["source"] == "worker"
