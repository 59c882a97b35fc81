"""The search within a budget: many candidates on few images, the best on more, and the winner with the evidence.

Successive halving (Jamieson and Talwalkar 2016) in three stages: each detector on few images, one changed option of the
best two on the same images, the best of both on all images. The baseline is in the first and in the last stage, and
remains unless another finds more synthetic defects by more than chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Protocol

from modelzoo.detectors.errors import DetectorError, TrainingCancelled
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate
from modelzoo.detectors.model_selection.comparison import TrialScores, compare
from modelzoo.detectors.synthetic_defects.defects import DefectSpec

# How many of the best are varied, and how many go into the last stage beside the baseline.
VARIED, FINALISTS = 2, 3
# Shares of the budget by which the first two stages are over. The last stage, and the training of the winner on all
# images, have the rest.
_STAGE_ENDS = (0.3, 0.55)
# Time that the training of the winner takes, in that of its longest fit so far for an image.
_RESERVE = 2.5

Progress = Callable[[float, str], None]


class OutOfTime(DetectorError):
    """The time for a trial was over before it was."""


@dataclass(frozen=True)
class Trial:
    """What a candidate did.

    Attributes:
        specs: what was put on each held-out image.
        n_learned: good images that it was fitted on.
        work: see `Trials.work`.
    """

    candidate: Candidate
    scores: TrialScores
    specs: Sequence[Sequence[DefectSpec]]
    n_learned: int
    work: float
    fit_seconds: float
    seconds: float


@dataclass(frozen=True)
class NotTried:
    candidate: Candidate
    because: str


class Trials(Protocol):
    """Fits and scores candidates.

    Attributes:
        n_images: good images that the winner will be trained on.
        has_more: whether the last stage has more images than the first two.
    """

    n_images: int
    has_more: bool

    def detectors(self) -> list[Candidate]:
        """The first stage, the baseline at its head."""
        ...

    def variations(self, candidate: Candidate) -> list[Candidate]:
        """Those with one option changed."""
        ...

    def work(self, candidate: Candidate, *, on_all: bool) -> float:
        """What the time of a trial is in proportion to, among those of one detector: pixels that are looked at."""
        ...

    def run(self, candidate: Candidate, *, on_all: bool, progress: Progress) -> Trial:
        """Raises `DetectorError` where the candidate cannot be fitted to these images."""
        ...


@dataclass(frozen=True)
class Selection:
    """The winner and how it came about.

    Attributes:
        rate: share of the good parts that may be rejected.
        screening: trials on few images.
        finals: trials on all images, the best first; empty where there was no time for them, or few are all there are.
    """

    winner: Candidate
    because: str
    rate: float
    budget: float = 0.0
    seconds: float = 0.0
    screening: list[Trial] = field(default_factory=list)
    finals: list[Trial] = field(default_factory=list)
    not_tried: list[NotTried] = field(default_factory=list)


class Search:
    """One search.

    Args:
        rate: share of the good parts that may be rejected.
        budget: seconds, the training of the winner included.
        progress: called often with the share of the budget that is spent; what it raises ends the search.
        clock: seconds from anywhere.
        began: on this clock; default: now.
    """

    def __init__(
        self,
        trials: Trials,
        *,
        rate: float,
        budget: float,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        self._trials, self._rate, self._budget = trials, rate, budget
        self._progress, self._clock = progress, clock
        self._began = clock() if began is None else began
        self._screening: list[Trial] = []
        self._finals: list[Trial] = []
        self._not_tried: list[NotTried] = []

    def run(self) -> Selection:
        first_end, second_end = (share * self._budget for share in _STAGE_ENDS)
        for candidate in self._trials.detectors():
            self._try(candidate, self._screening, until=first_end)
        if _baseline(self._screening):
            for candidate in self._variations():
                self._try(candidate, self._screening, until=second_end)
            if self._trials.has_more:
                for candidate in self._finalists():
                    self._try(candidate, self._finals, until=self._budget - self._reserve(candidate), on_all=True)
        return self._decide()

    def _variations(self) -> list[Candidate]:
        """Of the best so far, turn and turn about, so that one alone does not take all the time."""
        of_each = [self._trials.variations(trial.candidate) for trial in ranked(self._screening, self._rate)[:VARIED]]
        tried = [trial.candidate for trial in self._screening]
        return [one for one in dict.fromkeys(chain(*zip_longest(*of_each))) if one is not None and one not in tried]

    def _finalists(self) -> list[Candidate]:
        best = [trial.candidate for trial in ranked(self._screening, self._rate) if trial.candidate != BASELINE]
        return [BASELINE, *best[:FINALISTS]]

    def _try(self, candidate: Candidate, trials: list[Trial], *, until: float, on_all: bool = False) -> None:
        """A trial that would not be over in time is not begun, one that is not is ended."""
        images = "all images" if on_all else "few images"

        def progress(fraction: float, sentence: str) -> None:
            if self._elapsed() > until:
                raise OutOfTime
            self._progress(min(1.0, self._elapsed() / self._budget), f"{candidate.name}, {images}: {sentence}")

        try:
            if self._elapsed() + self._expected_seconds(candidate, on_all=on_all) > until:
                raise OutOfTime
            progress(0.0, "begins")
            trials.append(self._trials.run(candidate, on_all=on_all, progress=progress))
        except TrainingCancelled:
            raise
        except OutOfTime:
            self._not_tried.append(NotTried(candidate, f"no time was left for it on {images}"))
        except DetectorError as error:
            self._not_tried.append(NotTried(candidate, str(error)))

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _expected_seconds(self, candidate: Candidate, *, on_all: bool) -> float:
        """Of a trial, by the slowest of its detector so far; 0 before there is one."""
        done = [one for one in self._screening + self._finals if one.candidate.algorithm == candidate.algorithm]
        pace = max((trial.seconds / trial.work for trial in done), default=0.0)
        return pace * self._trials.work(candidate, on_all=on_all)

    def _reserve(self, candidate: Candidate) -> float:
        """Seconds for the training of a candidate, should it win."""
        fits = [trial for trial in self._screening if trial.candidate == candidate]
        pace = max((trial.fit_seconds / trial.n_learned for trial in fits), default=0.0)
        return _RESERVE * pace * self._trials.n_images

    def _decide(self) -> Selection:
        finals = ranked(self._finals, self._rate)
        screening = ranked(self._screening, self._rate)
        compared = finals if _baseline(finals) and len(finals) > 1 else screening
        winner, because = choose(compared, self._rate)
        return Selection(winner, because, self._rate, self._budget, self._elapsed(), screening, finals, self._not_tried)


def ranked(trials: Sequence[Trial], rate: float) -> list[Trial]:
    """The best first: by the share of defects that is found, then by AUROC; of equals the one that was tried first."""
    return sorted(trials, key=lambda trial: (trial.scores.detection(rate), trial.scores.auroc()), reverse=True)


def choose(trials: Sequence[Trial], rate: float) -> tuple[Candidate, str]:
    """Of trials on the same images the best that is better than the baseline by more than chance, else the baseline;
    and why."""

    def found(trial: Trial) -> str:
        return f"{100 * trial.scores.detection(rate):.0f} % (AUROC {trial.scores.auroc():.3f})"

    baseline = _baseline(trials)
    others = [trial for trial in ranked(trials, rate) if trial is not baseline]
    if baseline is None or not others:
        return BASELINE, f"{BASELINE.name} with its defaults: there was no time to compare it with others."
    images = f"{len(baseline.scores.clean)} held-out good images with {baseline.scores.defective.size} defects"
    for trial in others:
        if compare(trial.scores, baseline.scores, rate).is_beyond_chance:
            return trial.candidate, (
                f"{trial.candidate.name} finds {found(trial)}, {BASELINE.name} with its defaults {found(baseline)}, "
                f"on {images}; that is more than chance."
            )
    return BASELINE, (
        f"{BASELINE.name} with its defaults finds {found(baseline)} on {images}, the best of the others "
        f"({others[0].candidate.name}) {found(others[0])}: no other is better by more than chance."
    )


def _baseline(trials: Sequence[Trial]) -> Trial | None:
    return next((trial for trial in trials if trial.candidate == BASELINE), None)
