"""`manage.py replay`: recompute stored verdicts from image and artifact, here and now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from common.commands import ProductCommand
from common.errors import Conflict, UserError
from tuning.models import ReplayRun
from tuning.replay.selectors import find_replay
from tuning.replay.services import request_replay, work_on_replay


class Command(ProductCommand):
    help = (
        "Recompute stored verdicts from the stored image and the artifact, the way each was scored, and write what "
        "came of it into the audit log. Exit code 1 where a record does not come out as it is recorded."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--sample",
            type=int,
            default=settings.REPLAY_SAMPLE or 200,
            metavar="N",
            help="records, drawn by the end of the audit chain (default REPLAY_SAMPLE)",
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        run = request_replay(sample=options["sample"], actor=None, call_worker=False)
        if not work_on_replay(run_id=run.pk):
            raise Conflict(f"Replay {run.pk} was taken over by a worker. Its result will be in the audit log.")
        run = find_replay(run.pk)
        if options["json"]:
            self.answer(_document(run))
        else:
            self.say(f"{run.equal} of {len(run.records)} recomputed verdicts are the recorded ones.")
            if run.equal:
                self.say(
                    f"Scores that are equal differ by at most {run.largest_deviation:.2g} of their value; "
                    f"{run.largest_tolerance:g} were allowed."
                )
            for finding in run.findings:
                self.say(finding["sentence"])
        if run.status == ReplayRun.Status.FAILED:
            raise UserError(f"The replay failed. {run.error}")
        if not run.is_proof:
            raise UserError(
                f"{run.differing} records differ, {run.not_recomputed} could not be recomputed. Keep everything as it "
                "is: run manage.py verify_audit --records, and compare with a backup."
            )


def _document(run: ReplayRun) -> dict[str, Any]:
    names = ("id", "status", "sample", "seed", "records", "equal", "differing", "not_recomputed", "findings")
    return {name: getattr(run, name) for name in (*names, "largest_deviation", "largest_tolerance")}
