"""`manage.py execute_run RUN CLAIM`: the work of a run that a worker claimed (started by `training.tasks`)."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.context import acting
from common.errors import Conflict, UserError
from common.observability.ids import take_from_environment
from jobs.engine import Claim
from jobs.errors import ClaimLost
from jobs.metrics import publishing
from modelzoo.detectors.errors import TrainingCancelled
from training.runs.services import TRAINING_RUNS


class Command(ProductCommand):
    help = "Do the work of a claimed training run. Workers start this; people use `train`."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int)
        parser.add_argument("claim", type=uuid.UUID)

    def perform(self, **options: Any) -> None:
        from training.runs.execution.runner import execute, progress_bar

        take_from_environment()
        publishing.start("training run")
        try:
            # A worker's own process: nobody typed this command.
            with acting("worker"), progress_bar(quiet=False) as echo:
                version = execute(Claim(TRAINING_RUNS, options["run"], options["claim"]), echo=echo)
        except ClaimLost:
            raise Conflict(f"Training run {options['run']} now belongs to another worker. Nothing was saved.") from None
        except TrainingCancelled as error:
            raise UserError(str(error)) from error
        self.say(f"Model version {version.pk}: {version}")
