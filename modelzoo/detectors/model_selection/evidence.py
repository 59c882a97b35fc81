"""A selection as the JSON that run, report and artifact keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelzoo.detectors.model_selection.search import Selection, Trial

FEW, ALL = "few", "all"


def selection_document(selection: Selection) -> dict[str, Any]:
    """Everything but the pictures."""
    return {
        "winner": {
            "name": selection.winner.name,
            "algorithm": selection.winner.algorithm,
            "options": dict(selection.winner.options),
        },
        "because": selection.because,
        "false_reject_rate": selection.rate,
        "budget_minutes": round(selection.budget / 60, 2),
        "seconds": round(selection.seconds, 1),
        "candidates": [
            *_rows(selection.finals, ALL, selection.rate),
            *_rows(selection.screening, FEW, selection.rate),
        ],
        "not_tried": [{"name": row.candidate.name, "because": row.because} for row in selection.not_tried],
    }


def _rows(trials: Sequence[Trial], images: str, rate: float) -> list[dict[str, Any]]:
    return [
        {
            "name": trial.candidate.name,
            "algorithm": trial.candidate.algorithm,
            "options": dict(trial.candidate.options),
            "images": images,
            "n_learned": trial.n_learned,
            "n_held_out": len(trial.scores.clean),
            "n_defects": int(trial.scores.defective.size),
            "detection": round(trial.scores.detection(rate), 4),
            "auroc": round(trial.scores.auroc(), 4),
            **{
                f"by_{name}": _rounded(trial.scores.by(trial.specs, name, rate))
                for name in ("kind", "size", "contrast")
            },
            "seconds": round(trial.seconds, 1),
        }
        for trial in trials
    ]


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in shares.items()}
