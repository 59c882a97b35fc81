"""What-if over stored scores, held against counting one by one and against scikit-learn."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score

from common.errors import UserError
from inspection.history.filters import Filters, parse_filters
from modelzoo.models import ModelVersion
from modelzoo.services import set_threshold
from tests.scores import BEGAN, Part, stored
from tuning.benchmarks import history
from tuning.what_if.estimates import Costs, Estimate, ReviewedGroup
from tuning.what_if.selectors import NEAREST, SeveralModels, what_if

pytestmark = pytest.mark.django_db
IN_FORCE = 5.0
COSTS = Costs(false_reject=2.0, escape=70.0)


def chance(seed: int = 0, count: int = 160) -> list[Part]:
    """Parts with scores that often coincide, of which few good and many defective ones were looked at."""
    dice = random.Random(seed)
    parts = [Part(None, "good"), Part(None), Part(None, "defective", "dent")]
    for _ in range(count):
        defective = dice.random() < 0.3
        score = round(dice.gauss(6.0 if defective else 4.0, 1.2) * 4) / 4
        looked_at = dice.random() < (0.7 if score > IN_FORCE else 0.25)
        kind = dice.choice(["scratch", "dent", ""]) if defective else ""
        parts.append(Part(score, ("defective" if defective else "good") if looked_at else None, kind * looked_at))
    dice.shuffle(parts)
    return parts


PARTS = chance()
SCORED = [part for part in PARTS if part.score is not None]
REVIEWED = [part for part in SCORED if part.truth]
SCORES = sorted({part.score for part in SCORED if part.score is not None})
THRESHOLDS = (
    st.sampled_from(SCORES)
    | st.sampled_from(SCORES).map(lambda score: math.nextafter(score, math.inf))
    | st.sampled_from(SCORES).map(lambda score: math.nextafter(score, -math.inf))
    | st.floats(min_value=-2, max_value=15)
)
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def judged(version: ModelVersion) -> ModelVersion:
    """The version with `PARTS` as its records, all judged at `IN_FORCE`."""
    set_threshold(version=version, value=IN_FORCE, method="manual", reason="test", actor=None)
    stored(version, PARTS)
    return version


def above(part: Part, threshold: float) -> bool:
    assert part.score is not None
    return part.score > threshold


def labels(threshold: float) -> tuple[list[bool], list[bool]]:
    """Truth and decision of the reviewed parts."""
    return [part.truth == "defective" for part in REVIEWED], [above(part, threshold) for part in REVIEWED]


def weights() -> list[float]:
    """How many parts of its recorded verdict each reviewed part stands for."""
    everything = Counter(above(part, IN_FORCE) for part in SCORED)
    looked_at = Counter(above(part, IN_FORCE) for part in REVIEWED)
    return [everything[above(part, IN_FORCE)] / looked_at[above(part, IN_FORCE)] for part in REVIEWED]


# ---------------------------------------------------------------- against counting one by one
@thorough
@given(threshold=THRESHOLDS)
def test_verdicts_and_changes_are_those_counted_one_by_one(judged: ModelVersion, threshold: float) -> None:
    found = what_if(Filters(), threshold=threshold)
    decided = [(above(part, IN_FORCE), above(part, threshold)) for part in SCORED]
    assert found["asked"]["threshold"] == threshold
    assert found["asked"]["verdicts"] == {
        "good": sum(not now for _, now in decided),
        "defective": sum(now for _, now in decided),
        "not_comparable": 3,
    }
    assert found["recorded"]["defective"] == sum(before for before, _ in decided)
    moves = {"to_defective": decided.count((False, True)), "to_good": decided.count((True, False))}
    assert found["asked"]["changes"] == found["against_in_force"] == moves
    truth, decision = labels(threshold)
    pairs = Counter(zip(decision, truth, strict=True))
    assert found["asked"]["reviewed"]["confusion"] == {
        "tp": pairs[True, True],
        "fp": pairs[True, False],
        "tn": pairs[False, False],
        "fn": pairs[False, True],
    }
    kinds = {row["defect_type"]: (row["found"], row["total"]) for row in found["asked"]["reviewed"]["defect_types"]}
    assert kinds == {
        kind: (
            sum(above(part, threshold) for part in REVIEWED if part.truth == "defective" and part.defect_type == kind),
            sum(part.truth == "defective" and part.defect_type == kind for part in REVIEWED),
        )
        for kind in ("scratch", "dent", "")
    }


@thorough
@given(threshold=THRESHOLDS)
@pytest.mark.slow
def test_rates_are_those_of_scikit_learn(judged: ModelVersion, threshold: float) -> None:
    found = what_if(Filters(), threshold=threshold)["asked"]
    truth, decision = labels(threshold)
    for name, basis, sample_weight in (
        ("reviewed", found["reviewed"], None),
        ("estimate", found["estimate"], weights()),
    ):
        options: dict[str, Any] = {"sample_weight": sample_weight, "zero_division": np.nan}
        precision = precision_score(truth, decision, **options)
        assert basis["precision"]["value"] == (None if np.isnan(precision) else pytest.approx(precision)), name
        assert basis["recall"]["value"] == pytest.approx(recall_score(truth, decision, **options)), name
        assert basis["f1"]["value"] == pytest.approx(f1_score(truth, decision, **options)), name
        specificity = recall_score(truth, decision, pos_label=False, **options)
        assert basis["false_reject_rate"]["value"] == pytest.approx(1 - specificity), name
        assert basis["escape_rate"]["value"] == pytest.approx(1 - basis["recall"]["value"]), name
        for rate in ("precision", "recall", "f1", "false_reject_rate", "escape_rate"):
            value, interval = basis[rate]["value"], basis[rate]["interval"]
            if value is not None:
                assert 0 <= interval[0] <= value + 1e-9 <= interval[1] + 2e-9 <= 1 + 3e-9, (name, rate)


def test_intervals_of_the_reviewed_are_exact(judged: ModelVersion) -> None:
    found = what_if(Filters(), threshold=5.25)["asked"]["reviewed"]
    tp, fp, fn = (found["confusion"][name] for name in ("tp", "fp", "fn"))
    exact = binomtest(tp, tp + fn).proportion_ci(0.95, method="exact")
    assert found["recall"]["interval"] == pytest.approx([exact.low, exact.high])
    share = binomtest(tp, tp + fp + fn).proportion_ci(0.95, method="exact")
    assert found["f1"]["interval"] == pytest.approx([2 * j / (1 + j) for j in (share.low, share.high)])


@thorough
@given(threshold=THRESHOLDS)
def test_the_records_next_to_the_threshold(judged: ModelVersion, threshold: float) -> None:
    found = what_if(Filters(), threshold=threshold)["borderline"]
    scores = [part.score for part in SCORED if part.score is not None]
    assert [row["score"] for row in found["above"]] == sorted(s for s in scores if s > threshold)[:NEAREST]
    assert [row["score"] for row in found["below"]] == sorted((s for s in scores if s <= threshold), reverse=True)[
        :NEAREST
    ]
    for row in found["above"] + found["below"]:
        assert row["recorded"] == ("defective" if row["score"] > IN_FORCE else "good")


def test_a_score_on_the_threshold_is_good(version: ModelVersion) -> None:
    set_threshold(version=version, value=IN_FORCE, method="manual", reason="test", actor=None)
    stored(version, [Part(IN_FORCE), Part(6.0)])
    found = what_if(Filters())
    assert found["asked"]["verdicts"] == {"good": 1, "defective": 1, "not_comparable": 0}
    assert found["asked"]["threshold"] == IN_FORCE
    assert what_if(Filters(), threshold=math.nextafter(6.0, 0))["asked"]["verdicts"]["defective"] == 1
    assert what_if(Filters(), threshold=6.0)["asked"]["verdicts"]["defective"] == 0


# ---------------------------------------------------------------- costs, days, comparing
def test_costs_and_days(judged: ModelVersion) -> None:
    found = what_if(Filters(), threshold=5.5, costs=COSTS)
    days = (len(PARTS) - 1) / 24
    assert found["period"]["days"] == pytest.approx(days)
    truth, decision = labels(5.5)
    stands_for = weights()
    rejects = [d and not t for t, d in zip(truth, decision, strict=True)]
    escapes = [t and not d for t, d in zip(truth, decision, strict=True)]
    asked = found["asked"]
    assert asked["reviewed"]["cost"] == sum(rejects) * 2.0 + sum(escapes) * 70.0
    lost = float(np.dot(rejects, stands_for)), float(np.dot(escapes, stands_for))
    assert asked["estimate"]["cost"]["value"] == pytest.approx(lost[0] * 2.0 + lost[1] * 70.0)
    day = asked["per_day"]
    assert day["inspections"] == pytest.approx(len(PARTS) / days)
    assert day["rejected"] == pytest.approx(asked["verdicts"]["defective"] / days)
    assert (day["false_rejects"]["value"], day["escapes"]["value"]) == pytest.approx((lost[0] / days, lost[1] / days))
    assert day["cost"]["value"] == pytest.approx(asked["estimate"]["cost"]["value"] / days)
    assert what_if(Filters(), threshold=5.5)["asked"]["estimate"]["cost"] is None


def test_compared_with_the_threshold_in_force(judged: ModelVersion) -> None:
    assert what_if(Filters(), threshold=4.0)["in_force"] is None
    both = what_if(Filters(), threshold=4.0, costs=COSTS, compare=True)
    alone = what_if(Filters(), costs=COSTS)
    assert both["in_force"] == alone["asked"]
    assert both["threshold_in_force"] == {"revision": 2, "value": IN_FORCE}
    assert alone["against_in_force"] == alone["asked"]["changes"] == {"to_defective": 0, "to_good": 0}


def test_verdicts_of_the_past_are_those_of_their_own_revision(judged: ModelVersion) -> None:
    """A new threshold in force changes what is compared with, and nothing that was recorded."""
    before = what_if(Filters(), threshold=4.5)
    set_threshold(version=judged, value=4.5, method="manual", reason="test", actor=None)
    after = what_if(Filters())
    assert after["asked"] == before["asked"]
    assert after["against_in_force"] == {"to_defective": 0, "to_good": 0}
    assert after["asked"]["changes"]["to_defective"] > 0


# ---------------------------------------------------------------- reviews are no random sample
def test_the_estimate_undoes_what_looking_at_defective_parts_does(version: ModelVersion) -> None:
    """1000 good parts called good and 20 defective ones too, of which one in ten is looked at; all others are."""
    set_threshold(version=version, value=IN_FORCE, method="manual", reason="test", actor=None)
    parts = [Part(4.0, "good" if n % 10 == 0 else None) for n in range(1000)]
    parts += [Part(4.5, "defective" if n % 10 == 0 else None) for n in range(20)]
    parts += [Part(6.0, "good")] * 10 + [Part(7.0, "defective")] * 80
    stored(version, parts)
    found = what_if(Filters(), threshold=IN_FORCE)
    assert [(row["recorded"], row["total"], row["reviewed"]) for row in found["coverage"]] == [
        ("good", 1020, 102),
        ("defective", 90, 90),
        ("not_comparable", 0, 0),
    ]
    assert found["unreviewed"] == 918
    reviewed, estimate = found["asked"]["reviewed"], found["asked"]["estimate"]
    assert reviewed["recall"]["value"] == pytest.approx(80 / 82), "flattering"
    assert estimate["recall"]["value"] == pytest.approx(80 / 100), "the truth"
    assert {name: cell["value"] for name, cell in estimate["confusion"].items()} == pytest.approx(
        {"tp": 80, "fp": 10, "tn": 1000, "fn": 20}
    )
    [note] = found["notes"]
    assert "10.0 % of the parts judged GOOD and 100.0 % of the parts judged DEFECT were reviewed" in note


def test_nothing_is_estimated_from_nothing(version: ModelVersion) -> None:
    set_threshold(version=version, value=IN_FORCE, method="manual", reason="test", actor=None)
    stored(version, [Part(4.0), Part(4.5), Part(6.0, "defective", "dent")])
    found = what_if(Filters(), costs=COSTS)
    assert found["asked"]["estimate"] is None
    assert found["asked"]["per_day"]["escapes"] is None
    assert found["asked"]["reviewed"]["recall"]["value"] == 1.0
    assert "No part judged GOOD was reviewed" in found["notes"][-1]


def test_filters_that_ask_for_reviews_are_told(judged: ModelVersion) -> None:
    [first, *_] = what_if(Filters(overruled=True))["notes"]
    assert "select by review" in first


@pytest.mark.slow
def test_the_bounds_of_the_estimate_hold_the_truth() -> None:
    """A thousand lines of 2000 parts, of which 2 % of the good and half of the defective verdicts are looked at."""
    rng = np.random.default_rng(1)
    wrong = Counter[str]()
    for _ in range(1000):
        defective = rng.random(2000) < 0.05
        score = rng.normal(np.where(defective, 6.0, 4.0), 1.0)
        recorded = score > 5.5
        looked_at = rng.random(2000) < np.where(recorded, 0.5, 0.02)
        decided = score > 5.0
        seen = [
            ReviewedGroup(
                "defective" if recorded[i] else "good",
                "defective" if defective[i] else "good",
                "",
                bool(decided[i]),
                1,
            )
            for i in np.flatnonzero(looked_at)
        ]
        totals = {"good": int((~recorded).sum()), "defective": int(recorded.sum())}
        estimate = Estimate.of(seen, totals)
        assert estimate
        truth = {
            "recall": (decided & defective).sum() / defective.sum(),
            "false_reject_rate": (decided & ~defective).sum() / (~defective).sum(),
            "precision": (decided & defective).sum() / decided.sum(),
        }
        for name, value in truth.items():
            low, high = estimate.rates()[name]["interval"]
            wrong[name] += not low <= value <= high
    assert max(wrong.values()) <= 50, wrong


# ---------------------------------------------------------------- the curve and the presets
@pytest.mark.parametrize("bins", [1, 7, 100, 500])
def test_the_curve_counts_what_lies_above_each_threshold(judged: ModelVersion, bins: int) -> None:
    curve = what_if(Filters(), bins=bins)["curve"]
    thresholds = curve["thresholds"]
    assert len(thresholds) <= bins + 2
    assert thresholds[0] < SCORES[0]
    assert thresholds[-1] >= SCORES[-1]
    for series in curve["series"]:
        of_kind = [
            part.score
            for part in SCORED
            if part.score is not None
            and (part.score > IN_FORCE) == (series["recorded"] == "defective")
            and part.truth == series["review"]
        ]
        assert series["above"] == [sum(score > threshold for score in of_kind) for threshold in thresholds]
        assert series["counts"] == [sum(low < score <= high for score in of_kind) for low, high in pairwise(thresholds)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    low=st.floats(min_value=-1e30, max_value=1e30, allow_subnormal=False),
    high=st.floats(min_value=-1e30, max_value=1e30, allow_subnormal=False),
    bins=st.integers(min_value=1, max_value=500),
)
def test_a_curve_between_any_two_scores(judged: ModelVersion, low: float, high: float, bins: int) -> None:
    low, high = min(low, high), max(low, high)
    curve = what_if(Filters(), bins=bins, score_range=(low, high))["curve"]
    thresholds = curve["thresholds"]
    assert thresholds == sorted(thresholds)
    assert all(math.isfinite(threshold) for threshold in thresholds)
    for index, threshold in enumerate(thresholds):
        total = sum(series["above"][index] for series in curve["series"])
        assert total == sum(part.score > threshold for part in SCORED if part.score is not None)


@pytest.mark.parametrize("score_range", [(None, None), (0.0, None), (0.0, 0.0), (5e-324, 5e-324), (-1e-300, 1e-300)])
@pytest.mark.parametrize("bins", [1, 500])
def test_a_curve_of_what_is_next_to_nothing(
    version: ModelVersion, score_range: tuple[float | None, float | None], bins: int
) -> None:
    parts = [Part(0.0), Part(1e-323), Part(1e-308)]
    stored(version, parts)
    curve = what_if(Filters(), bins=bins, score_range=score_range)["curve"]
    for index, threshold in enumerate(curve["thresholds"]):
        total = sum(series["above"][index] for series in curve["series"])
        assert total == sum(part.score > threshold for part in parts if part.score is not None)


@pytest.mark.parametrize("low", [0.0, 1e-323])
def test_a_curve_that_ends_next_to_nothing(judged: ModelVersion, low: float) -> None:
    curve = what_if(Filters(), bins=10, score_range=(low, 1e-323))["curve"]
    everything = sum(part.score > 0 for part in SCORED if part.score is not None)
    assert sum(series["above"][-1] for series in curve["series"]) == everything


def test_a_curve_needs_a_beginning_before_its_end(judged: ModelVersion) -> None:
    with pytest.raises(UserError, match="begin at a lower score"):
        what_if(Filters(), bins=10, score_range=(6.0, 5.0))


def test_presets_are_what_they_say(judged: ModelVersion) -> None:
    found = what_if(Filters(), presets=True, percentile=80.0, false_reject_rate=0.2, costs=COSTS)["presets"]
    by_method = {row["method"]: row for row in found}
    assert by_method["percentile"]["threshold"] == pytest.approx(np.percentile(judged.held_out_scores, 80))
    held_out = sorted(judged.held_out_scores)
    k = math.ceil((len(held_out) + 1) * 0.8)
    assert by_method["conformal"]["threshold"] == held_out[k - 1]

    def f1(threshold: float) -> float:
        return float(f1_score(*labels(threshold)))

    def cost(threshold: float) -> float:
        truth, decision = labels(threshold)
        losses = [2.0 * (d and not t) + 70.0 * (t and not d) for t, d in zip(truth, decision, strict=True)]
        return float(np.dot(losses, weights()))

    every = [SCORES[0] - 1, *SCORES]
    assert f1(by_method["best_f1"]["threshold"]) == pytest.approx(max(map(f1, every)))
    assert cost(by_method["cost"]["threshold"]) == pytest.approx(min(map(cost, every)))
    least = by_method["cost"]["threshold"]
    at_it = what_if(Filters(), threshold=least, costs=COSTS)["asked"]["estimate"]["cost"]["value"]
    assert at_it == pytest.approx(cost(least))
    assert by_method["cost"]["parameters"]["weighted"] is True
    assert by_method["best_f1"]["parameters"]["n"] == len(REVIEWED)


def test_a_preset_that_is_not_to_be_had_says_why(version: ModelVersion) -> None:
    set_threshold(version=version, value=IN_FORCE, method="manual", reason="test", actor=None)
    stored(version, [Part(4.0), Part(6.0)])
    found = what_if(Filters(), presets=True, false_reject_rate=0.001, costs=COSTS)["presets"]
    assert [(row["method"], row["threshold"] is None) for row in found] == [
        ("percentile", False),
        ("conformal", True),
        ("best_f1", True),
        ("cost", True),
    ]
    assert "at least 999 held-out good images" in found[1]["unavailable"]


# ---------------------------------------------------------------- which records
def another(version: ModelVersion) -> ModelVersion:
    fields = {
        name: getattr(version, name)
        for name in ("category", "algorithm", "config", "dataset_name", "dataset_snapshot", "seed", "versions")
    }
    made = ModelVersion.objects.create(
        number=version.number + 1,
        artifact="x",
        artifact_sha256="1" * 64,
        artifact_bytes=1,
        held_out_scores=[],
        **fields,
    )
    set_threshold(version=made, value=IN_FORCE, method="manual", reason="test", actor=None)
    return made


def test_scores_of_several_models_are_not_mixed(judged: ModelVersion) -> None:
    other = another(judged)
    stored(other, [Part(100.0), Part(200.0)], station="west")
    with pytest.raises(SeveralModels) as caught:
        what_if(Filters(), threshold=5.0)
    assert caught.value.status == 400
    assert caught.value.extra == {"model_versions": [judged.pk, other.pk]}
    assert what_if(Filters(model_version=judged.pk))["total"] == len(PARTS)
    west = what_if(Filters(station="west"), threshold=150.0)
    assert (west["model_version"], west["asked"]["verdicts"]["good"]) == (other.pk, 1)


def test_filters_are_those_of_the_history(judged: ModelVersion) -> None:
    middle = BEGAN + timedelta(hours=50)
    late = what_if(Filters(since=middle), threshold=5.5)
    parts = PARTS[50:]
    assert late["total"] == len(parts)
    assert late["asked"]["verdicts"]["defective"] == sum(part.score is not None and part.score > 5.5 for part in parts)
    assert late["period"]["first"] == middle.isoformat()
    reviewed = what_if(parse_filters({"reviewed": "yes", "review_verdict": "defective"}))
    assert reviewed["total"] == sum(part.truth == "defective" for part in PARTS)
    assert reviewed["unreviewed"] == 0


def test_no_records(version: ModelVersion) -> None:
    with pytest.raises(UserError, match="No record matches"):
        what_if(Filters(station="nowhere"))
    named = what_if(Filters(model_version=version.pk), bins=10, presets=True, costs=COSTS, compare=True)
    assert (named["total"], named["curve"], named["period"]["first"]) == (0, None, None)
    assert named["asked"]["estimate"] is None
    assert named["borderline"] == {"above": [], "below": []}


def test_only_parts_that_cannot_be_compared(version: ModelVersion) -> None:
    stored(version, [Part(None, "defective"), Part(None)])
    found = what_if(Filters(), bins=10, presets=True, compare=True)
    assert found["asked"]["verdicts"] == {"good": 0, "defective": 0, "not_comparable": 2}
    assert found["asked"]["reviewed"]["total"] == 0
    assert found["unreviewed"] == 1
    assert "2 parts were not comparable" in found["notes"][-1]


def test_queries(judged: ModelVersion, django_assert_num_queries: Any) -> None:
    """Version, threshold in force, its size rule, all counts, counts of the reviewed, two sides of the threshold."""
    filters = Filters(model_version=judged.pk)
    with django_assert_num_queries(7):
        what_if(filters, threshold=5.0, compare=True, costs=COSTS)
    with django_assert_num_queries(10):
        what_if(filters, threshold=5.0, bins=100, presets=True, costs=COSTS)


def test_the_benchmark_takes_the_newest_records_of_the_busiest_version(
    judged: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(another(judged), [Part(1.0)])
    monkeypatch.setattr(history, "SCORES", 100)
    said: list[str] = []
    document = history.figures(said.append)
    assert document.pop("what_if_records") == 100
    assert all(name.endswith("_ms") and value > 0 for name, value in document.items())
    assert f"100 records of {judged}" in said[0]
    assert history.as_text(document).startswith("what_if_ms: ")


def test_the_benchmark_needs_records(version: ModelVersion) -> None:
    with pytest.raises(UserError, match="generate_history"):
        history.figures()
