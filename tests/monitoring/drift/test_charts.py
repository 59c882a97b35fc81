"""Charts of one stream: what they notice, what they leave alone, when they begin anew."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monitoring.drift.charts import KINDS, REFERENCE, Chart, Observation, observed


def stream(values: np.ndarray, *, version: int = 1, threshold: int = 1, **fixed: float) -> list[Observation]:
    return [Observation(version, threshold, "good", 0.5, {"brightness": float(value), **fixed}) for value in values]


def feed(charts: dict[str, Chart], observations: list[Observation]) -> list[tuple[int, str]]:
    return [(index, chart.kind) for index, one in enumerate(observations) for chart in observed(charts, one)]


def normal(mean: float, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.5, count)


def test_a_shift_is_noticed_and_an_undisturbed_line_is_not() -> None:
    charts: dict[str, Chart] = {}
    assert feed(charts, stream(normal(170, 2000, 0))) == []
    signals = feed(charts, stream(normal(153, 20, 1)))
    assert signals[0][1] == "brightness"
    assert signals[0][0] < 15


def test_a_change_too_small_to_matter_is_left_alone() -> None:
    charts: dict[str, Chart] = {}
    feed(charts, stream(np.random.default_rng(0).normal(170, 0.05, 300)))
    assert feed(charts, stream(np.random.default_rng(1).normal(171, 0.05, 200))) == []


def test_one_odd_part_is_no_alarm() -> None:
    charts: dict[str, Chart] = {}
    feed(charts, stream(normal(170, 300, 0)))
    assert feed(charts, stream(np.array([0.0]))) == []


def test_directions_wrap_around() -> None:
    charts = {"direction": Chart("direction")}
    generator = np.random.default_rng(0)

    def directions(mean: float, count: int) -> list[Observation]:
        values = (generator.normal(mean, 0.5, count) + 45) % 90 - 45
        return [Observation(1, 1, "good", 0.5, {"direction": float(value)}) for value in values]

    assert feed(charts, directions(44.8, 600)) == []
    assert feed(charts, directions(47.8, 30)) != []
    before, now = charts["direction"].medians
    assert (before % 90, now % 90) == (pytest.approx(44.8, abs=0.3), pytest.approx(47.8, abs=0.4))


def test_defects_and_what_is_not_comparable_are_counted() -> None:
    charts: dict[str, Chart] = {}
    generator = np.random.default_rng(0)
    usual = [Observation(1, 1, "defective" if generator.random() < 0.02 else "good", 0.5, {}) for _ in range(600)]
    assert feed(charts, usual) == []
    copied = {name: Chart.from_dict(json.loads(json.dumps(chart.as_dict()))) for name, chart in charts.items()}
    worse = [Observation(1, 1, "defective" if index % 2 else "good", 0.5, {}) for index in range(50)]
    assert {kind for _, kind in feed(charts, worse)} == {"defect_share"}
    other = [Observation(1, 1, "not_comparable", None, {}) for _ in range(20)]
    assert {kind for _, kind in feed(copied, other)} == {"not_comparable_share"}


def test_a_new_version_or_threshold_begins_anew_what_depends_on_it() -> None:
    charts: dict[str, Chart] = {}
    feed(charts, stream(normal(170, 150, 0)))
    feed(charts, stream(normal(170, 1, 1), threshold=2))
    assert {name for name, chart in charts.items() if chart.is_learning} == {"defect_share"}
    feed(charts, stream(normal(170, 1, 1), version=2, threshold=3))
    assert not charts["brightness"].is_learning
    learning = {name for name, chart in charts.items() if chart.is_learning}
    assert learning == {kind.name for kind in KINDS.values() if kind.depends_on and kind.name in charts}


def test_a_chart_that_was_reset_keeps_its_reference_and_a_restarted_one_does_not() -> None:
    chart = Chart("brightness")
    for value in normal(170, REFERENCE + 50, 0):
        chart.observe(float(value))
    kept = list(chart.reference)
    chart.reset()
    assert (chart.reference, chart.average, chart.recent, chart.count) == (kept, 0.0, [], 0)
    chart.restart()
    assert chart.is_learning
    assert chart.reference == []


def test_the_state_survives_json() -> None:
    one, other = Chart("score_spread"), Chart("score_spread")
    for value in normal(10, 250, 3):
        one.observe(float(value))
        other.observe(float(value))
        other = Chart.from_dict(json.loads(json.dumps(other.as_dict())))
    assert one == other
