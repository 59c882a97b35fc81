"""Charts: labels that cover nothing and are not cut, and kinds that are told apart without colour."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.numbers import score_text
from common.web.charts import Tick, lanes, line, marks_of, rates, round_values
from tests.environment import ROOT

CSS = (ROOT / "static/css/app.css").read_text()


@given(st.lists(st.tuples(st.floats(-10, 110), st.text("abc 0.", max_size=18)), max_size=4))
def test_no_label_covers_another_or_leaves_the_chart(places: list[tuple[float, str]]) -> None:
    marks = marks_of([(value, label, "threshold") for value, label in places], 0, 100)
    for index, mark in enumerate(marks):
        assert mark.extent[0] >= -1
        assert mark.extent[1] <= 101
        for other in marks[:index]:
            apart = mark.extent[1] <= other.extent[0] or other.extent[1] <= mark.extent[0]
            assert apart or mark.row != other.row or not (mark.label and other.label)


def test_two_labels_side_by_side_stand_in_two_lines_and_the_chart_makes_room() -> None:
    places = [(50.0, "threshold 50.00", "threshold"), (52.0, "this part 52.00", "part-defective")]
    chart = lanes("Scores", [0.0, 50.0, 100.0], {"good": ("good", [3, 1])}, marks=places)
    assert [mark.row for mark in chart.marks] == [0, 1]
    alone = lanes("Scores", [0.0, 50.0, 100.0], {"good": ("good", [3, 1])}, marks=places[:1])
    assert chart.height == alone.height + 14


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_good_and_defective_differ_in_print_too() -> None:
    tokens = {
        name: re.search(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", CSS)
        for name in ("chart-good", "chart-defect", "surface")
    }
    for scheme in (1, 2):
        good, defect, surface = (luminance(found[scheme]) for found in tokens.values() if found)
        for one, other, least in ((good, defect, 2), (good, surface, 3), (defect, surface, 3)):
            high, low = max(one, other), min(one, other)
            assert (high + 0.05) / (low + 0.05) >= least, (scheme, good, defect, surface)
    # And in shape: one is filled, the other outlined, the third dashed.
    assert "stroke" not in re.search(r"\.chart \.good \{([^}]*)\}", CSS)[1]  # type: ignore[index]
    assert "stroke:" in re.search(r"\.chart \.defective \{([^}]*)\}", CSS)[1]  # type: ignore[index]
    assert "dasharray" in re.search(r"\.chart \.not_comparable \{([^}]*)\}", CSS)[1]  # type: ignore[index]


def test_a_score_has_one_precision() -> None:
    assert [score_text(value) for value in (16.764999389648438, 0, 1, -3.14159)] == ["16.76", "0.00", "1.00", "-3.14"]
    assert [score_text(value) for value in (0.0156123, 0.5, 1e-9)] == ["0.0156", "0.500", "1.00e-09"]
    assert score_text(0.879, beside=2.0) == "0.88"


def test_a_rate_beyond_what_chance_leaves_is_ringed_and_said() -> None:
    edges, spans = [0.0, 1.0, 2.0, 3.0, 4.0], [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]
    chart = rates("Rates", edges, [(5, 100), (4, 100), (0, 0), (30, 100)], ticks=[Tick(0, "a")], spans=spans)
    mean = 39 / 300
    limit = mean + 3 * (mean * (1 - mean) / 100) ** 0.5
    assert [row[2] for row in chart.rows] == ["5 of 100", "4 of 100", "30 of 100"]  # nothing is no rate of nothing
    assert [row[-1] for row in chart.rows] == ["", "", "above the limits"]
    assert chart.rows[0][5] == f"{100 * limit:.1f} %"
    drawn = {shape.kind: shape.path for shape in chart.shapes}
    assert drawn["ring"].count("M") == 1
    assert drawn["dot"].count("M") == 3
    assert drawn["limit"].count("M") == 6


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_round_values_lie_inside_evenly_and_are_few(low: float, relative: float) -> None:
    width = relative * max(abs(low), 1e-3)
    values = round_values(low, low + width)
    assert 2 <= len(values) <= 7
    slack = 1e-6 * width
    assert all(low - slack <= value <= low + width + slack for value in values)
    assert np.ptp(np.diff(values)) <= slack


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


def test_a_curve_is_drawn_where_its_points_are() -> None:
    curves = {"first": ("this model", [(0.0, 0.0), (0.15, 0.5), (0.3, 1.0)])}
    chart = line(
        "ROC", curves, x_label="x", y_label="y", x_range=(0, 0.3), y_range=(0, 1), marks=[(0.15, "threshold", "")]
    )
    assert [numbers(shape.path) for shape in chart.shapes] == [[0, 100, 50, 50, 100, 0]]
    assert [mark.at for mark in chart.marks] == [50]


def test_each_kind_has_a_lane_with_its_own_tallest_bin() -> None:
    series = {"good": ("good", [4, 2, 0, 0]), "defective": ("defect", [0, 0, 1, 0])}
    chart = lanes("Scores", [0, 1, 2, 3, 4], series, marks=[(3.0, "threshold 3.00", "threshold")])
    drawn = {shape.kind: numbers(shape.path) for shape in chart.shapes}
    assert drawn["good"] == [0, 50, 18, 25, 50, 25, 50, 34, 50, 50]
    assert drawn["defective"] == [50, 100, 68, 75, 100]
    assert [(mark.at, mark.label) for mark in chart.marks] == [(75, "threshold 3.00")]
