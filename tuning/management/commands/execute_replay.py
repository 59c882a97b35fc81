"""`manage.py execute_replay RUN`: the work of a replay that was asked for (started by `tuning.tasks`)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.context import acting
from tuning.replay.services import work_on_replay


class Command(ProductCommand):
    help = "Recompute the records of a replay. Workers start this; people use `replay`."
    requires_migrations_current = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int)

    def perform(self, **options: Any) -> None:
        with acting("worker"):
            work_on_replay(run_id=options["run"])
