"""How well the choice by synthetic defects agrees with what real defects say, on data sets that have both.

Each candidate is fitted once, as the search does it, and judges synthetic defects and the test images of the data set.
The test images are what the choice is measured by; it never sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from common.errors import UserError
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import DetectorError, NotComparable
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate
from modelzoo.detectors.model_selection.comparison import threshold
from modelzoo.detectors.model_selection.search import Trial, choose
from modelzoo.detectors.model_selection.trials import ImageTrials
from modelzoo.detectors.preprocessing.pipeline import as_batch
from modelzoo.evaluation.rank_metrics import Ranking
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage
from training.runs.execution.runner import decoded_images, source_of

# Of each kind, good and defective, evenly spaced: the comparison is of many candidates.
_MAX_TESTS = 60


def measure(
    datasets: Sequence[Dataset], options: Mapping[str, Any], *, rate: float, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """For each data set every candidate with both figures, their rank correlation, and what the choice loses."""
    sets = [_measure_set(dataset, options, rate, seed, tell) for dataset in datasets]
    shared = set.intersection(*({row["candidate"] for row in one["candidates"]} for one in sets))
    means = {name: float(np.mean([_real(one, name) for one in sets])) for name in sorted(shared)}
    best_fixed = max(means, key=lambda name: means[name])
    for one in sets:
        one["loss_against_best"] = max(row["real_auroc"] for row in one["candidates"]) - _real(one, one["chosen"])
        one["loss_against_fixed"] = _real(one, best_fixed) - _real(one, one["chosen"])
        one["gain_over_baseline"] = _real(one, one["chosen"]) - _real(one, BASELINE.name)
    kinds = sets[0]["kinds"]
    return {
        "false_reject_rate": rate,
        "seed": seed,
        "sets": sets,
        "best_fixed": {"candidate": best_fixed, "mean_auroc": means[best_fixed]},
        "baseline_mean_auroc": means[BASELINE.name],
        "chosen_mean_auroc": float(np.mean([_real(one, one["chosen"]) for one in sets])),
        "rank_correlation": _mean(one["rank_correlation"] for one in sets),
        "kinds": {kind: _mean(one["kinds"][kind] for one in sets) for kind in kinds},
    }


def _measure_set(
    dataset: Dataset, options: Mapping[str, Any], rate: float, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    tests = images_of(dataset, DatasetImage.Split.TEST)
    good, bad = ([image for image in tests if image.is_defective is kind] for kind in (False, True))
    if not good or not bad:
        raise UserError(f"{dataset} has no good or no defective test images.", code="no_test_images")
    tests = _thinned(good) + _thinned(bad)
    source = decoded_images(images_of(dataset, DatasetImage.Split.TRAIN))
    shared = {name: value for name, value in options.items() if name != "device"}
    try:
        trials = ImageTrials(source, options=shared, seed=seed, device=options["device"], minutes=0)
    except DetectorError as error:
        raise UserError(f"{dataset}: {error}") from error
    done: list[tuple[Trial, dict[str, Any]]] = []
    candidates = trials.detectors()
    for candidate in candidates:
        _run(candidate, trials, tests, rate, done, dataset, tell)
        if not candidate.options:
            candidates += [one for one in trials.variations(candidate) if one not in candidates]
    rows = [row for _, row in done]
    winner, because = choose([trial for trial, _ in done], rate)
    real = [row["real_auroc"] for row in rows]
    return {
        "dataset": dataset.name,
        "candidates": rows,
        "chosen": winner.name,
        "because": because,
        "rank_correlation": _correlation([row["detection"] for row in rows], real),
        "kinds": {kind: _correlation([row["by_kind"][kind] for row in rows], real) for kind in rows[0]["by_kind"]},
    }


def _run(
    candidate: Candidate,
    trials: ImageTrials,
    tests: list[DatasetImage],
    rate: float,
    done: list[tuple[Trial, dict[str, Any]]],
    dataset: Dataset,
    tell: Callable[[str], None],
) -> None:
    """Add a candidate's figures; one that does not fit the images is left out."""
    try:
        trial, detector = trials.run_fitted(candidate, on_all=False, progress=lambda fraction, sentence: None)
    except DetectorError as error:
        tell(f"{dataset.name}, {candidate.name}: {error}")
        return
    scores = _scores(detector, tests)
    defective = np.array([image.is_defective for image in tests])
    row = {
        "candidate": candidate.name,
        "detection": trial.scores.detection(rate),
        "auroc": trial.scores.auroc(),
        "by_kind": trial.scores.by(trial.specs, "kind", rate),
        "real_auroc": Ranking.of(scores, defective).auroc(),
        "real_detection": float((scores[defective] > threshold(trial.scores.clean, rate)).mean()),
        "seconds": round(trial.seconds, 1),
    }
    done.append((trial, row))
    tell(f"{dataset.name}, {candidate.name}: {row['detection']:.3f} synthetic, AUROC {row['real_auroc']:.3f} real")


def _scores(detector: Detector, tests: list[DatasetImage]) -> np.ndarray:
    """float64 [n] of the test images; infinity where one cannot be compared."""
    scores = np.full(len(tests), np.inf)

    def prepare(image: Any) -> Any:
        try:
            return detector.prepare(image)
        except NotComparable:
            return None

    prepared = list(enumerate(source_of(tests, detector).map(prepare)))
    comparable = [(index, one) for index, one in prepared if one is not None]
    size = detector.config.batch_size
    for start in range(0, len(comparable), size):
        part = comparable[start : start + size]
        scores[[index for index, _ in part]] = detector.score(as_batch([one for _, one in part])).scores
    return scores


def _thinned(images: list[DatasetImage]) -> list[DatasetImage]:
    places = np.unique(np.linspace(0, len(images) - 1, min(_MAX_TESTS, len(images))).round().astype(int))
    return [images[place] for place in places]


def _real(one: Mapping[str, Any], name: str) -> float:
    return float(next(row["real_auroc"] for row in one["candidates"] if row["candidate"] == name))


def _correlation(synthetic: Sequence[float], real: Sequence[float]) -> float | None:
    """Spearman's; None where one of the two is the same for all candidates."""
    if np.ptp(synthetic) == 0 or np.ptp(real) == 0:
        return None
    return float(spearmanr(synthetic, real).statistic)


def _mean(values: Any) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def as_text(document: Mapping[str, Any]) -> str:
    """The tables of docs/detection.md."""
    lines = [
        f"| data set | candidates | rank correlation | chosen | its AUROC | {BASELINE.name} | best of all | loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in document["sets"]:
        chosen = _real(one, one["chosen"])
        lines.append(
            f"| {one['dataset']} | {len(one['candidates'])} | {_number(one['rank_correlation'])} | {one['chosen']} | "
            f"{chosen:.3f} | {chosen - one['gain_over_baseline']:.3f} | {chosen + one['loss_against_best']:.3f} | "
            f"{one['loss_against_best']:.3f} |"
        )
    fixed = document["best_fixed"]
    lines += [
        "",
        f"Means: chosen {document['chosen_mean_auroc']:.3f}, {BASELINE.name} {document['baseline_mean_auroc']:.3f}, "
        f"the best fixed choice ({fixed['candidate']}) {fixed['mean_auroc']:.3f}; rank correlation "
        f"{_number(document['rank_correlation'])}.",
        "",
        "| kind of defect | rank correlation by it alone |",
        "|---|---|",
        *(f"| {kind} | {_number(value)} |" for kind, value in document["kinds"].items()),
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
