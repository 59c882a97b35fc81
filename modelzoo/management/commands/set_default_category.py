"""`manage.py set_default_category CATEGORY`: what judges images that name no category."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from modelzoo.selectors import find_category
from modelzoo.services import set_default_category


class Command(ProductCommand):
    help = (
        "Say which category is used for images without a category while several are in production. Without a "
        "default they are refused (409 several_categories); with only one category in production no default is "
        "needed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("category", nargs="?", help="a category in production")
        which.add_argument("--none", action="store_true", help="remove the default")
        parser.add_argument("--reason", required=True, help="why; kept in the audit log")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        category = find_category(options["category"]) if options["category"] else None
        set_default_category(category=category, reason=options["reason"], actor=None)
        if options["json"]:
            self.answer({"category": category.name if category else None})
        elif category:
            self.say(f"{category.name} is the default category of images without a category.")
        else:
            self.say(
                "There is no default category: with several categories in production, images must name their category."
            )
