"""Where trainings keep how far they are: `VAR_DIR/checkpoints`, on the machine that trains."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from training.models import TrainingRun


def checkpoint_of(run: TrainingRun) -> Path:
    """The file of a run, in a folder that is there. Files of runs that were closed meanwhile are removed."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    still_open = TrainingRun.objects.filter(status__in=TrainingRun.OPEN).values_list("pk", flat=True)
    names = {_name(pk) for pk in [run.pk, *still_open]}
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)
    return folder / _name(run.pk)


def discard_checkpoint(*, run_id: int) -> None:
    """After the end of a run nothing goes on from it."""
    (_folder() / _name(run_id)).unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "checkpoints"


def _name(run_id: int) -> str:
    return f"run-{run_id}.safetensors"
