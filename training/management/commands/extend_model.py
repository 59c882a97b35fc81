"""`manage.py extend_model`: let a trained version learn from more good images; the result is a new version."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from modelzoo.selectors import find_version
from training.datasets.imports import find_dataset
from training.runs import services
from training.runs.command_line import RunCommand


class Command(RunCommand):
    help = (
        "Extend a version with the new good training images of a data set, such as the false rejects of "
        "dataset_from_reviews. The result is a new candidate; the version does not change."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument(
            "--category", default="", help=("the category whose latest version is used; required if there are several")
        )
        parser.add_argument("--dataset", required=True, help="name of a data set of the same category")
        parser.add_argument("--queue", action="store_true", help="run it in a worker")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        run = services.request_extension(
            version=find_version(reference=options["model_version"], category=options["category"]),
            dataset=find_dataset(options["dataset"]),
            actor=None,
        )
        self.carry_out(run, queue=options["queue"], as_json=options["json"])
