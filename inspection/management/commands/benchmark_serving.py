"""`manage.py benchmark_serving`: image bytes over HTTP to the persisted record, beside the bare work."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from inspection.judging.documents import MAP_FORMS
from modelzoo.selectors import find_version


class Command(ProductCommand):
    help = "Measure the embedded system over HTTP with a trained version. Nothing is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--image", dest="images", type=Path, nargs="+", required=True, help="PNG or JPEG files")
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument("--clients", type=int, nargs="+", default=[1, 4], help="callers at once (default 1 4)")
        parser.add_argument("--rounds", type=int, default=5, help="the medians of this many are reported")
        parser.add_argument("--requests", type=int, default=32, help="images of each caller in each round")
        parser.add_argument(
            "--neighbours", type=int, default=0, help="other programs that keep a core busy each meanwhile (default 0)"
        )
        parser.add_argument(
            "--stages", action="store_true", help="processor time of an image by stage, sampled by py-spy (Linux)"
        )
        parser.add_argument("--anomaly-map", choices=MAP_FORMS, default="url", help="form of the map in the answer")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from inspection.benchmarks import serving

        if min(options["rounds"], options["requests"], *options["clients"]) < 1:
            raise UserError("--rounds, --requests and --clients must be at least 1.")
        if not 0 <= options["neighbours"] <= 64:
            raise UserError("--neighbours must be from 0 to 64.")
        try:
            images = [(path.name, path.read_bytes()) for path in options["images"]]
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from error
        version = find_version(reference=options["model_version"])
        document = serving.measure(
            version,
            images,
            clients=options["clients"],
            rounds=options["rounds"],
            requests=options["requests"],
            anomaly_map=options["anomaly_map"],
            neighbours=options["neighbours"],
            stages=options["stages"],
            tell=self.say,
        )
        if options["json"]:
            self.answer(document)
        else:
            self.stdout.write(f"{version}\n{serving.as_text(document)}")
