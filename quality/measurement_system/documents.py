"""The JSON shapes of a study and of what a person judges next."""

from __future__ import annotations

import json
from typing import Any

from django.urls import reverse

from quality.measurement_system import selectors
from quality.measurement_system.models import MeasurementStudy
from quality.measurement_system.selectors import Task


def study_document(study: MeasurementStudy) -> dict[str, Any]:
    return {
        "study_id": str(study.pk),
        "category": study.category.name,
        "parts": study.part_count,
        "trials": study.trials,
        "near_percent": study.near_percent,
        "standard": study.standard,
        "expert": study.expert.get_username() if study.expert else None,
        "candidates": study.candidates,
        "population_sha256": study.population_sha256,
        "event_sequence": study.event_sequence,
        "seed": study.seed,
        "reason": study.reason,
        "author": study.author.get_username() if study.author else None,
        "created_at": study.created_at.isoformat(),
        "finished_at": study.finished_at.isoformat() if study.finished_at else None,
        "results_sha256": study.results_sha256,
        "signature": study.signature,
        "key_id": study.key_id,
        "pdf_url": reverse("measurement-study-pdf", args=[study.pk]),
    }


def whole_study(study: MeasurementStudy) -> dict[str, Any]:
    """With how far everybody is and, once it is finished, the results."""
    results = json.loads(study.results) if study.is_finished else None
    return study_document(study) | {"progress": selectors.progress(study), "results": results}


def task_document(study: MeasurementStudy, task: Task | None) -> dict[str, Any]:
    """What a person judges next: nothing in it tells which record it is, nor what the model said."""
    return {
        "study_id": str(study.pk),
        "task": task.number if task else None,
        "left": task.left if task else 0,
        "image_url": reverse("measurement-study-image", args=[study.pk]) + f"?task={task.number}" if task else None,
    }
