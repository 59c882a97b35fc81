"""Must show 4: kill -9 of worker, web server and broker at random, while clients send images with idempotency keys.

`CHAOS_INSPECTIONS=2000` makes it as long as promised, `CHAOS_SEED` repeats a run's choices.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from mvtec_client import Client, Retry
from tests import parts
from tests.stack.conftest import Stack, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.postgresql_too]
INSPECTIONS = int(os.environ.get("CHAOS_INSPECTIONS", "60"))
CLIENTS = 4
LOT = "chaos"

COUNTED = f"""
import json
from django.db.models import Count
from inspection.models import Inspection, InspectionRequest
from records.models import AuditEvent, Asset
mine = Inspection.objects.filter(lot={LOT!r})
requests = InspectionRequest.objects.filter(lot={LOT!r})
print(json.dumps({{
    "records": mine.count(),
    "ids": sorted(str(pk) for pk in mine.values_list("pk", flat=True)),
    "keys": mine.values("request__idempotency_key").distinct().count(),
    "without_key": mine.filter(request__idempotency_key=None).count(),
    "images": mine.values("asset").distinct().count(),
    "audited": AuditEvent.objects.filter(
        kind="inspection.recorded", object_id__in=[str(pk) for pk in mine.values_list("pk", flat=True)]
    ).count(),
    "requests": dict(requests.values_list("status").annotate(n=Count("pk"))),
    "unread": sum(1 for asset in Asset.objects.all() if not asset.file.storage.exists(asset.file.name)),
}}))
"""


def counted(stack: Stack) -> dict[str, Any]:
    said = stack.manage("shell", "--verbosity", "0", "--command", COUNTED).stdout
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def with_words(stack: Stack, words: str) -> list[psutil.Process]:
    """Processes of the system by their command line, parents before their children."""
    found = []
    for process in stack.children():
        try:
            if words in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: process.ppid() in pids if process.is_running() else True)


# What is killed: a name, the words of its command line, and which of its processes (parents come first).
VICTIMS: list[tuple[str, str, Callable[[list[psutil.Process]], list[psutil.Process]]]] = [
    ("worker", "-Q inference", lambda found: found),
    ("the worker's child", "-Q inference", lambda found: found[1:]),
    ("web server", "gunicorn", lambda found: found),
    ("the web server's child", "gunicorn", lambda found: found[1:]),
    ("broker", "valkey", lambda found: found),
]


class Killer(threading.Thread):
    """Kills one part after another, each time that some more images were answered."""

    def __init__(self, stack: Stack, answered: list[str], *, every: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.killed: Counter[str] = Counter()
        self._stack, self._answered, self._every = stack, answered, every
        self._random = random.Random(seed)
        self._over = threading.Event()

    def run(self) -> None:
        due = self._every
        while not self._over.wait(0.02):
            if len(self._answered) < due:
                continue
            due += self._every
            self._over.wait(self._random.random() * 0.5)
            name, words, which = self._random.choice(VICTIMS)
            victims = which(with_words(self._stack, words))
            for victim in victims:
                try:
                    victim.kill()
                except psutil.NoSuchProcess:
                    continue
            self.killed[name if victims else f"{name} (was down)"] += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def test_killed_at_random_every_image_has_one_record(capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("CHAOS_SEED", str(random.randrange(10**6))))
    # Whoever waits for a worker that died asks again soon.
    with new_stack(trained(), ANSWER_TIMEOUT="5") as stack:
        stack.start()
        patient = Retry(attempts=200, longest_pause=1.0)
        answered: list[str] = []
        records: dict[str, str] = {}
        with Client(stack.address, stack.token, retry=patient, timeout=30) as client:
            client.load_model()

            def send(number: int) -> None:
                key = f"part-{number}"
                image = parts.png(20_000 + number, defective=number % 5 == 0)
                record = client.inspect((f"{number}.png", image), lot=LOT, serial_number=key, idempotency_key=key)
                assert record["serial_number"] == key
                records[key] = record["inspection_id"]
                answered.append(key)

            killer = Killer(stack, answered, every=max(10, INSPECTIONS // 25), seed=seed)
            began = time.monotonic()
            killer.start()
            try:
                with ThreadPoolExecutor(CLIENTS) as pool:
                    for done in [pool.submit(send, number) for number in range(INSPECTIONS)]:
                        done.result()
            except BaseException as error:
                error.add_note(f"seed {seed}, killed {dict(killer.killed)}; {stack.log.read_text()}")
                raise
            finally:
                killer.stop()
            seconds = time.monotonic() - began

            # The whole system is there again, and says of every key what it said before.
            wait_for(lambda: client.status()["broker"] == "reachable" and len(client.status()["workers"]) == 3, 120)
            for number in range(0, INSPECTIONS, max(1, INSPECTIONS // 20)):
                key = f"part-{number}"
                image = parts.png(20_000 + number, defective=number % 5 == 0)
                again = client.inspect((f"{number}.png", image), lot=LOT, serial_number=key, idempotency_key=key)
                assert again["inspection_id"] == records[key]

        found = counted(stack)
        ids = found.pop("ids")
        story = f"seed {seed}: {INSPECTIONS} inspections in {seconds:.0f} s, killed {dict(killer.killed)}, {found}"
        with capsys.disabled():
            sys.stdout.write(f"\n{story}\n")
        assert sum(killer.killed.values()) >= 3, story
        assert sorted(records.values()) == ids, story
        assert found["records"] == found["keys"] == found["audited"] == found["images"] == INSPECTIONS, story
        assert (found["without_key"], found["unread"]) == (0, 0), story
        assert stack.json("verify_audit")["broken_at"] is None
