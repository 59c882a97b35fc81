"""Pictures that are small as files and take much to decode, sent many at once beside the line's own images."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO

import httpx
from PIL import Image

from tests.resilience.system import System
from tests.resilience.traffic import Traffic, percentile

AT_ONCE = 15


def pictures() -> dict[str, bytes]:
    """At the limit of 64 megapixels: black, a line of 16 x 4,000,000, and a progressive JPEG."""
    black = Image.new("RGB", (8000, 8000))
    made = {}
    for name, image, kind, options in (
        ("black.png", black, "PNG", {"optimize": True}),
        ("line.png", Image.new("L", (16, 4_000_000)), "PNG", {}),
        ("progressive.jpg", black, "JPEG", {"progressive": True}),
    ):
        out = BytesIO()
        image.save(out, kind, **options)
        made[name] = out.getvalue()
    return made


@dataclass
class Measured:
    """What fifteen such pictures at once did to others and to the memory; bytes."""

    bombs: Counter[str] = field(default_factory=Counter)
    line: Counter[str] = field(default_factory=Counter)  # of the line: what it was answered besides records
    answered: int = 0
    line_p50: float = 0.0
    line_longest: float = 0.0
    before: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)


def measure(system: System, data: bytes, *, token: str, seconds: float = 20.0) -> Measured:
    """`AT_ONCE` clients with one token send the picture for some seconds, while the line sends its own, one each."""
    measured = Measured(before=system.memory())
    measured.peak = dict(measured.before)
    until = time.monotonic() + seconds

    def send() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=system.stack.address, headers=headers, timeout=90) as client:
            while time.monotonic() < until:
                try:
                    answer = client.post("/api/test_image", files={"image": ("bomb", data, "image/png")})
                    code = "" if answer.status_code == 200 else answer.json().get("code", "")
                    measured.bombs[f"{answer.status_code} {code}".strip()] += 1
                    if answer.status_code != 200:
                        time.sleep(0.5)
                except httpx.TransportError as error:
                    measured.bombs[type(error).__name__] += 1

    senders = [threading.Thread(target=send, daemon=True) for _ in range(AT_ONCE)]
    with Traffic(system, "bombs", clients=1, patient=False) as line:
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            for name, size in system.memory().items():
                measured.peak[name] = max(measured.peak[name], size)
            time.sleep(0.1)
        line.wait_for_answers(3, begun_after=time.monotonic())
    time.sleep(3)
    measured.line, measured.answered = line.seen, len(line.answers)
    measured.line_p50, measured.line_longest = percentile(line.seconds(), 0.5), percentile(line.seconds(), 1.0)
    measured.after = system.memory()
    return measured
