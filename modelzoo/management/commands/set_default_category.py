"""`manage.py set_default_category CATEGORY`: what judges images that name no category."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from modelzoo.selectors import find_category
from modelzoo.services import set_default_category


class Command(ProductCommand):
    help = (
        "Say which category is meant by images that name none while several are in force. Without a default they are "
        "refused (409 several_categories); while one category alone is in force it is meant anyway."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("category", nargs="?", help="one that is in force")
        which.add_argument("--none", action="store_true", help="no default any more")
        parser.add_argument("--reason", required=True, help="why; kept in the audit log")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        category = find_category(options["category"]) if options["category"] else None
        set_default_category(category=category, reason=options["reason"], actor=None)
        if options["json"]:
            self.answer({"category": category.name if category else None})
        elif category:
            self.say(f"{category.name} is the default: it is meant by images that name no category.")
        else:
            self.say("There is no default category: while several are in force, images must name theirs.")
