"""`manage.py execute_evaluation RUN`: the work of an evaluation that was asked for (started by `training.tasks`)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.context import acting
from common.observability.ids import take_from_environment
from jobs.metrics import publishing


class Command(ProductCommand):
    help = "Do the work of an evaluation. Workers start this; people use `evaluate`."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int)

    def perform(self, **options: Any) -> None:
        from training.evaluations.worker import work_on_evaluation

        take_from_environment()
        publishing.start("evaluation")
        with acting("worker"):
            work_on_evaluation(run_id=options["run"])
