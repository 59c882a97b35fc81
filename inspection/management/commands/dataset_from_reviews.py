"""`manage.py dataset_from_reviews NAME --category C`: reviewed images as a labelled data set."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from inspection.history.filters import parse_filters, split_arguments
from inspection.reviews import reviewed_data
from modelzoo.selectors import find_category


class Command(ProductCommand):
    help = "Create a data set from reviewed records: for evaluation, and for training with extend_model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="of the data set")
        parser.add_argument("--category", required=True, help="what the parts are")
        parser.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="of the history: since=2026-11-01, lot=L7, model_version=3, overruled=yes; can be repeated",
        )
        parser.add_argument(
            "--test-share",
            type=float,
            default=reviewed_data.TEST_SHARE,
            help=f"of the good parts that are held back for testing (default {reviewed_data.TEST_SHARE:g})",
        )
        parser.add_argument(
            "--only-overruled-good",
            action="store_true",
            help="of the good parts only those that the model had rejected",
        )
        parser.add_argument(
            "--include-contested", action="store_true", help="also where reviews differ: the last counts"
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        dataset, created = reviewed_data.dataset_from_reviews(
            name=options["name"],
            category=find_category(options["category"]),
            choice=reviewed_data.Choice(
                filters=parse_filters(split_arguments(options["filter"])),
                test_share=options["test_share"],
                include_confirmed_good=not options["only_overruled_good"],
                include_contested=options["include_contested"],
            ),
            actor=None,
        )
        document = reviewed_data.dataset_document(dataset, created=created)
        if options["json"]:
            self.answer(document)
            return
        self.say(
            f"{dataset}{'' if created else ' (as it was)'}: {document['train_images']} training images, "
            f"{document['test_images']} test images, {document['defective_images']} of them defective, "
            f"{document['masks']} with a mask."
        )
        for warning in document["warnings"]:
            self.say(f"  {warning}")
