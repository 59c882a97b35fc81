"""`torchrun --nproc-per-node 2 manage.py train_distributed --model autoencoder ...`: one training, by all processes."""

from __future__ import annotations

import os
from typing import Any

from common.errors import UserError
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.registry import ALGORITHMS
from training.management.commands.train import Command as TrainCommand


class Command(TrainCommand):
    help = (
        "Train the autoencoder by several processes together; the options are those of train. Start it with torchrun: "
        "its first process does what train does, the others only lend their processor or GPU."
    )
    # Only the first process touches the database.
    requires_migrations_current = os.environ.get("RANK", "0") == "0"

    def perform(self, **options: Any) -> None:
        from modelzoo.detectors.autoencoder.detector import follow

        rank = os.environ.get("RANK")
        if rank is None:
            raise UserError("Start this with torchrun --nproc-per-node 2 manage.py train_distributed, or use train.")
        algorithm = ALGORITHMS.get(options["model"])
        if algorithm is None or not algorithm.is_distributable:
            raise UserError(f"{options['model']} is not trained by several processes; use train.")
        if options["queue"]:
            raise UserError("A worker trains in one process; leave --queue out, or use train.")
        if rank == "0":
            super().perform(**options)
            return
        try:
            follow(options["device"] or "auto")
        except DetectorError as error:
            raise UserError(str(error)) from error
