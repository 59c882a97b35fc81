"""`manage.py set_roles NAME --role engineer`: what a user may do from now on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.selectors import find_user, user_document
from accounts.services import set_roles
from common.commands import ProductCommand
from common.rights import Role


class Command(ProductCommand):
    help = "Give a user exactly these roles, from the next request on. Without roles, all are removed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name")
        parser.add_argument(
            "--role",
            dest="roles",
            action="append",
            default=[],
            choices=[str(role) for role in Role],
            help="can be repeated",
        )
        parser.add_argument("--reason", default="", help="kept in the audit log")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        user = find_user(options["name"])
        set_roles(user=user, roles=options["roles"], reason=options["reason"], actor=None)
        if options["json"]:
            self.answer(user_document(user))
        self.say(f"{user.username}: {', '.join(sorted(set(options['roles']))) or 'no role'}.")
