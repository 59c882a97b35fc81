"""`manage.py reproduce RUN`: train again, and say whether the same model comes out."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from modelzoo.detectors.errors import DetectorError
from training.models import TrainingRun
from training.runs.selectors import find_run
from training.runs.services import note_reproduction


class Command(ProductCommand):
    help = (
        "Train again from the snapshot and the configuration of a training run, and compare every tensor and every "
        "score with the version on record. Nothing but an audit event is kept. Exit code 1 where it is another model."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int, help="the id of a training run, as the page of its version shows it")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from training.runs.execution.reproduction import reproduce
        from training.runs.execution.runner import progress_bar

        run = _with_relations(options["run"])
        try:
            with progress_bar(quiet=options["json"]) as progress:
                outcome = reproduce(run, progress=progress)
        except DetectorError as error:
            raise UserError(f"Training run {run.pk} could not be done again: {error}") from error
        note_reproduction(run=run, outcome={"model_version": run.model_version_id} | outcome.document(), actor=None)
        if options["json"]:
            self.answer({"training_run": run.pk, "model_version": run.model_version_id} | outcome.document())
        self.say(f"{run.model_version} of training run {run.pk}: {outcome.sentence}")
        if not outcome.is_reproduced:
            raise UserError("The training is not reproduced. The version on record stays as it is.")


def _with_relations(run_id: int) -> TrainingRun:
    find_run(run_id)  # which says so where there is none
    relations = ("dataset__category", "base_version", "ignore_mask", "ignore_mask_version", "model_version__category")
    return TrainingRun.objects.select_related(*relations).get(pk=run_id)
