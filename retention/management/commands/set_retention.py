"""`manage.py set_retention CATEGORY`: how long the files of a category are kept, from now on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError

from common.commands import ProductCommand
from common.errors import UserError
from modelzoo.selectors import find_category
from retention.models import RetentionPolicy
from retention.selectors import policy_document
from retention.services import set_policy


class Command(ProductCommand):
    help = "Set the retention rule of a category. Without days, all files are kept. Nothing is deleted yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("category")
        parser.add_argument(
            "--good-after-days", type=int, help=("delete images of good parts after this many days (default: never)")
        )
        parser.add_argument("--good-keep-every", type=int, default=0, help="of these, keep 1 in N (default 0: none)")
        parser.add_argument(
            "--maps-after-days",
            type=int,
            help=("delete maps of good parts after this many days (default: with their images)"),
        )
        parser.add_argument("--defective-after-days", type=int, help="the same for all other images (default: never)")
        parser.add_argument("--reviewed-too", action="store_true", help="delete reviewed images like the others")
        parser.add_argument("--reason", required=True)
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        category = find_category(options["category"])
        names = ("good_after_days", "good_keep_every", "maps_after_days", "defective_after_days", "reason")
        rule = {name: options[name] for name in names} | {"keep_reviewed": not options["reviewed_too"]}
        try:
            RetentionPolicy(category=category, revision=1, **rule).clean_fields(exclude=["author"])
        except ValidationError as error:
            name, sentences = next(iter(error.message_dict.items()))
            raise UserError(f"--{name.replace('_', '-')}: {sentences[0]}", code="invalid") from error
        policy = set_policy(category=category, actor=None, **rule)
        if options["json"]:
            self.answer(policy_document(policy))
            return
        self.say(f"{policy} is active. Preview its effect: manage.py apply_retention --dry-run")
