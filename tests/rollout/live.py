"""Images of the line, judged by what is in production, and a challenger beside it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from inspection.judging.services import PartContext, Submission, inspect_image
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from modelzoo.services import append_threshold
from rollout.challengers import worker
from rollout.challengers.services import start_challenger
from rollout.models import Challenger
from tests import parts
from tests.versions import another


def live(count: int, *, begin: int = 0, defective: bool = False, **part: str) -> list[Inspection]:
    """So many images that somebody sends to the line; a worker must be there."""
    return [
        inspect_image(
            data=parts.png(seed, defective=defective),
            submission=Submission(filename=f"{seed}.png", source="api", actor=None, part=PartContext(**part)),
            category="disc",
        )
        for seed in range(begin, begin + count)
    ]


def strict(version: ModelVersion) -> ModelVersion:
    """The same model under another number, with a threshold that rejects every part."""
    made = another(version)
    append_threshold(version=made, value=1e-6, method="manual", reason="rejects all", actor=None)
    return made


def start(version: ModelVersion, **fields: Any) -> Challenger:
    return start_challenger(version=version, reason="trained with reviews", actor=None, **fields)


def work(challenger: Challenger) -> Challenger:
    """As a worker that is called by the sweep, and has all the time that a slow machine needs."""
    with patch.object(worker, "_TURN_SECONDS", 600.0):
        worker.work_on_challenger(challenger_id=challenger.pk)
    challenger.refresh_from_db()
    return challenger
