"""`manage.py rescore`: have records of the past scored again with a model version, by the workers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from inspection.history.filters import FILTER_NAMES, parse_filters, split_arguments
from jobs import broker
from modelzoo.loading.options import add_runtime_options, runtime_options
from modelzoo.selectors import find_version
from tuning.models import RescoringRun
from tuning.rescoring import services
from tuning.rescoring.documents import rescoring_document, rescoring_summary
from tuning.rescoring.selectors import find_rescoring


class Command(ProductCommand):
    help = (
        "Re-score past records with a model version. The workers do it, after the images of the line. "
        "Records do not change; the results are stored separately."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", required=True, help="an id or latest")
        parser.add_argument("--category", default="", help="the category whose latest version is used")
        parser.add_argument("--since", default="", help="records from this day or time on")
        parser.add_argument("--until", default="", help=("records to the end of this day, or before this time"))
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"more filters of records; NAME is one of {', '.join(FILTER_NAMES)}",
        )
        parser.add_argument("--reason", required=True, help="kept with the run")
        parser.add_argument(
            "--wait", action="store_true", help=("wait until the run has ended; after Ctrl-C the workers go on")
        )
        add_runtime_options(parser)
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        run = services.request_rescoring(
            version=find_version(reference=options["model_version"], category=options["category"]),
            filters=parse_filters(self._filters(options)),
            reason=options["reason"],
            actor=None,
            runtime_options=runtime_options(options),
        )
        self.say(f"Re-scoring {run.pk}: {run.total} records with {run.model_version}.")
        if options["wait"]:
            self._await(run)
        run = find_rescoring(run.pk)
        if options["json"]:
            self.answer(rescoring_document(run) | {"summary": rescoring_summary(run)})
        if run.status == RescoringRun.Status.FAILED:
            raise UserError(f"The run failed. {run.error} The {run.done} results so far were kept.")

    def _filters(self, options: dict[str, Any]) -> dict[str, list[str]]:
        filters = split_arguments(options["where"])
        return filters | {name: [options[name]] for name in ("since", "until") if options[name]}

    def _await(self, run: RescoringRun) -> None:
        if not any("inference" in queues for queues in broker.live_workers().values()):
            self.say("No worker is running. The run waits for one (make run starts one).")
        reported = -1
        while not services.RESCORINGS.wait(run, timeout=10.0):
            if (reached := run.done + run.failed) != reported:
                reported = reached
                self.say(f"{reached} of {run.total}, {run.changed} with another outcome")
        self.say(f"{run.status}: {run.done} scored, {run.failed} not, {run.changed} with another outcome")
