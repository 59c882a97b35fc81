"""`benchmark edge`: every part has its verdict, and the figures say of what they are; how fast is nobody's test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from edge.benchmarks import line, registered
from edge.benchmarks.frames import frame, unique_copy
from edge.benchmarks.line import _figures, _quantile, as_text, measure
from edge.benchmarks.system import System, load
from edge.benchmarks.wires import Arrival
from records.assets.images import open_rgb
from records.assets.selectors import upload_limits
from tests import parts
from tests.stack.conftest import new_stack, trained

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """With a small detector that was trained before."""
    with new_stack(trained(), EDGE_PRIVATE_HOSTS="127.0.0.1") as stack:
        stack.start()
        version = str(stack.trained["model_version"])
        bare = System(stack.address, stack.token, "disc", [parts.png(0), parts.png(1, defective=True)], {})
        with bare.client() as client:
            model = load(client, version)
        yield System(bare.address, bare.token, bare.category, bare.images, model)
        stack.stop()


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize("wire", ["webhook", "mqtt"])
def test_every_part_has_its_verdict(system: System, wire: str):
    line.require_installed(wire)
    document = measure(system, rates=[2.0, 4.0], seconds=1.5, wire=wire, tell=lambda words: None)
    assert json.loads(json.dumps(document)) == document
    assert [(row["rate"], row["sent"]) for row in document["rates"]] == [(2.0, 3), (4.0, 6)]
    for row in document["rates"]:
        assert (row["received"], row["lost"], row["duplicates"], row["out_of_order"]) == (row["sent"], 0, 0, 0)
        assert sum(row["verdicts"].values()) == row["sent"]
        assert set(row["verdicts"]) == {"good", "defective"}
        assert row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert None not in row["stages_p50_ms"].values()
    assert document["hardware"]["cores"] >= 1
    assert document["model"]["algorithm"] == "padim"
    assert len(as_text(document).splitlines()) == 3


@pytest.mark.django_db
@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        ("--rates", "fast"),
        ("--rates", "0"),
        ("--rates", "1,,2"),
        ("--seconds", "0"),
        ("--cores", "0"),
        ("--image-size", "5"),
    ],
)
def test_what_cannot_be_measured_is_told(wrong: tuple[str, str]):
    with pytest.raises(Exception, match="must be"):
        call_command("benchmark", "edge", *wrong, "--json")


def test_a_wire_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(line.importlib.util, "find_spec", lambda name: None)
    line.require_installed("webhook")
    with pytest.raises(UserError, match=r"needs paho and amqtt.*requirements-dev\.txt"):
        line.require_installed("mqtt")


def test_frames_of_one_picture_are_files_of_their_own():
    data = frame(1)
    copies = {unique_copy(data) for _ in range(3)}
    assert len(copies) == 3
    assert len({open_rgb(one, upload_limits()).tobytes() for one in copies}) == 1


def arrival(part: str, sequence: int, at: float, verdict: str = "good") -> Arrival:
    moment = BEGIN + timedelta(seconds=at)
    document: dict[str, Any] = {"serial_number": part, "sequence": sequence, "verdict": verdict, "filename": ""}
    document |= {name: moment.isoformat() for name in ("requested_at", "recorded_at", "sent_at")}
    return Arrival(at, moment.timestamp(), document)


def test_lost_doubled_and_disordered_verdicts_are_counted():
    sent = {name: (0.0, BEGIN.timestamp()) for name in "ABCD"}
    arrived = [
        arrival("A", 1, 0.1),
        arrival("C", 3, 0.2),
        arrival("B", 2, 0.3),
        arrival("A", 1, 0.4),
        arrival("X", 9, 1),
    ]
    row = _figures(sent, arrived, {"X"})
    counted = (row["sent"], row["received"], row["lost"], row["duplicates"], row["out_of_order"])
    assert counted == (4, 3, 1, 1, 1)
    row = _figures(sent, arrived, {"A", "D"})
    assert (row["refused"], row["lost"]) == (1, 0)
    assert (row["p50_ms"], row["max_ms"]) == (200.0, 300.0)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.sampled_from([0.5, 0.99, 1.0]))
def test_quantiles(values: list[int], share: float):
    ordered = sorted(values)
    found = _quantile(ordered, share)
    assert found is not None
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    assert sum(value < found for value in ordered) < share * len(ordered)


def test_it_is_one_of_the_benchmarks():
    assert [one.name for one in registered.BENCHMARKS] == ["edge"]
    assert _quantile([], 0.5) is None
