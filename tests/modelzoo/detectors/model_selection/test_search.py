"""The search against an oracle: made-up candidates of which the best is known, on a clock that only they move."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import pytest

from modelzoo.detectors.errors import DetectorError, TrainingCancelled
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate
from modelzoo.detectors.model_selection.comparison import TrialScores, compare, threshold
from modelzoo.detectors.model_selection.evidence import selection_document
from modelzoo.detectors.model_selection.search import Progress, Search, Selection, Trial
from modelzoo.detectors.synthetic_defects.defects import one_of_each_kind

RATE = 0.1
PADIM, BLUR, WIDE = Candidate("padim"), BASELINE.with_option("sigma", 4.0), BASELINE.with_option("sigma", 2.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Oracle:
    """Each candidate shifts the scores of defects by its quality, and takes a second for each image that it learns.

    Images are hard or easy for all candidates alike, as real ones are.
    """

    n_images = 100

    def __init__(
        self, clock: Clock, qualities: Mapping[Candidate, float], *, slow: float = 1.0, has_more: bool = True
    ) -> None:
        self.clock, self.qualities, self.slow, self.has_more = clock, qualities, slow, has_more
        self.ran: list[tuple[Candidate, bool]] = []
        self.refused: dict[Candidate, str] = {}

    def detectors(self) -> list[Candidate]:
        return [one for one in self.qualities if not one.options]

    def variations(self, candidate: Candidate) -> list[Candidate]:
        return [one for one in self.qualities if one.options and one.algorithm == candidate.algorithm]

    def work(self, candidate: Candidate, *, on_all: bool) -> float:
        return 70.0 if on_all else 20.0

    def run(self, candidate: Candidate, *, on_all: bool, progress: Progress) -> Trial:
        if candidate in self.refused:
            raise DetectorError(self.refused[candidate])
        n = int(self.work(candidate, on_all=on_all))
        self.ran.append((candidate, on_all))
        for done in range(n):
            progress(done / n, f"image {done}")
            self.clock.now += self.slow
        generator = np.random.default_rng(n)
        clean, noise = generator.normal(0, 1, n), generator.normal(0, 1, (n, 5))
        own = np.random.default_rng(crc32(candidate.name.encode())).normal(0, 0.1, (n, 5))
        scores = TrialScores(clean, noise + own + self.qualities[candidate])
        specs = [one_of_each_kind(image, 0) for image in range(n)]
        return Trial(candidate, scores, specs, n, float(n), 0.5 * n * self.slow, n * self.slow)


def search(oracle: Oracle, clock: Clock, *, minutes: float = 60, progress: Progress = lambda *_: None) -> Selection:
    return Search(oracle, rate=RATE, budget=60 * minutes, progress=progress, clock=clock).run()


def test_the_best_of_all_stages_wins() -> None:
    clock = Clock()
    oracle = Oracle(clock, {BASELINE: 1.0, PADIM: 1.4, BLUR: 2.6, WIDE: 0.2, PADIM.with_option("sigma", 2.0): 1})
    selection = search(oracle, clock)
    assert selection.winner == BLUR
    assert "sigma 4" in selection.because
    assert "more than chance" in selection.because
    assert selection.finals[0].candidate == BLUR
    assert BASELINE in [trial.candidate for trial in selection.finals]
    assert len(selection.screening) == 5
    assert not selection.not_tried


def test_what_is_better_by_chance_alone_does_not_win() -> None:
    clock = Clock()
    selection = search(Oracle(clock, {BASELINE: 1.5, PADIM: 1.52, BLUR: 1.47}), clock)
    assert selection.winner == BASELINE
    assert "no other is better by more than chance" in selection.because


def test_what_is_worse_does_not_win_however_clearly() -> None:
    clock = Clock()
    assert search(Oracle(clock, {BASELINE: 2.0, PADIM: 0.5}), clock).winner == BASELINE


@pytest.mark.parametrize("minutes", [0.1, 0.5, 1, 2, 4, 8, 16])
def test_the_budget_is_kept_and_what_had_no_time_is_named(minutes: float) -> None:
    clock = Clock()
    oracle = Oracle(clock, {BASELINE: 1.0, PADIM: 1.4, BLUR: 2.6, WIDE: 0.2})
    selection = search(oracle, clock, minutes=minutes)
    # One step of a trial is what it may be late by.
    assert clock.now - 100 <= 60 * minutes + 1
    assert selection.seconds == clock.now - 100
    # There is time left to train the winner, at the pace at which it was fitted.
    if selection.winner != BASELINE:
        assert clock.now - 100 + 0.5 * oracle.n_images <= 60 * minutes + 1
    named = {trial.candidate for trial in selection.screening} | {row.candidate for row in selection.not_tried}
    assert BASELINE in named
    if minutes < 0.5:
        assert selection.winner == BASELINE
        assert "no time" in selection.because
    if minutes >= 8:
        assert selection.winner == BLUR


def test_a_trial_that_takes_longer_than_is_left_is_not_begun() -> None:
    clock = Clock()
    oracle = Oracle(clock, {BASELINE: 1.0, BLUR: 2.6, WIDE: 0.2})
    search(oracle, clock, minutes=1.3)  # 43 s for the first two stages, 20 for each trial
    assert oracle.ran == [(BASELINE, False), (BLUR, False)]


def test_a_candidate_that_cannot_be_fitted_is_named_and_the_others_go_on() -> None:
    clock = Clock()
    oracle = Oracle(clock, {BASELINE: 1.0, PADIM: 3.0, BLUR: 2.6})
    oracle.refused = {PADIM: "sigma=8 blurs wider than an image of 32 pixels."}
    selection = search(oracle, clock)
    assert selection.winner == BLUR
    assert [(row.candidate, row.because) for row in selection.not_tried] == [(PADIM, oracle.refused[PADIM])]


def test_without_more_images_the_first_stages_decide() -> None:
    clock = Clock()
    oracle = Oracle(clock, {BASELINE: 0.5, PADIM: 3.0}, has_more=False)
    selection = search(oracle, clock)
    assert selection.winner == PADIM
    assert not selection.finals


def test_a_cancellation_ends_the_search() -> None:
    clock = Clock()

    def cancelled(fraction: float, sentence: str) -> None:
        assert 0 <= fraction <= 1
        if clock.now > 130:
            raise TrainingCancelled("The run was cancelled.")

    with pytest.raises(TrainingCancelled):
        search(Oracle(clock, {BASELINE: 1.0, PADIM: 1.4}), clock, progress=cancelled)
    assert clock.now < 133


def test_the_evidence_names_all_with_their_figures() -> None:
    clock = Clock()
    document = selection_document(search(Oracle(clock, {BASELINE: 1.0, PADIM: 1.4, BLUR: 2.6}), clock))
    assert document["winner"] == {"name": "patchcore, sigma 4", "algorithm": "patchcore", "options": {"sigma": 4.0}}
    assert {row["images"] for row in document["candidates"]} == {"few", "all"}
    for row in document["candidates"]:
        assert set(row["by_kind"]) == {"cut_paste", "perlin", "scar", "missing", "stain"}
        assert set(row["by_size"]) == {"small", "medium", "large"}
        assert np.mean(list(row["by_kind"].values())) == pytest.approx(row["detection"], abs=1e-3)
    assert document["budget_minutes"] == 60


# ---------------------------------------------------------------- the comparison
def test_the_threshold_rejects_the_wanted_share_of_new_good_parts() -> None:
    generator = np.random.default_rng(0)
    rejected = [(generator.normal(size=500) > threshold(generator.normal(size=40), RATE)).mean() for _ in range(400)]
    assert 0.08 < np.mean(rejected) <= RATE + 0.01


def test_where_detection_is_the_same_the_auroc_decides() -> None:
    clean = np.arange(40.0)
    defective = np.full((40, 5), 100.0)
    same, better = defective.copy(), defective.copy()
    same[:20] = 10.5  # below the threshold in both, but in one of them above more good parts
    better[:20] = 30.5
    difference = compare(TrialScores(clean, better), TrialScores(clean, same), RATE)
    assert difference.detection == 0
    assert difference.auroc > 0
    assert difference.is_beyond_chance
    assert not compare(TrialScores(clean, same), TrialScores(clean, same), RATE).is_beyond_chance


def test_what_cannot_be_compared_is_rejected_good_or_not() -> None:
    clean, defective = np.arange(20.0), np.full((20, 5), 30.0)
    without = clean.copy()
    without[:4] = np.inf
    scores = TrialScores(without, defective)
    assert scores.detection(RATE) == 0  # more good parts are lost than may be
    missed = TrialScores(clean, np.full((20, 5), -1.0))
    missed.defective[:, 0] = np.inf
    assert missed.detection(RATE) == pytest.approx(0.2)
    assert not compare(scores, TrialScores(clean, defective), RATE).is_beyond_chance
