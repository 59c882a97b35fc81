"""`manage.py create_user NAME --role operator`: a user with roles."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from accounts.selectors import user_document
from accounts.services import create_user
from common.commands import ProductCommand
from common.errors import UserError
from common.rights import Role


class Command(ProductCommand):
    help = (
        "Create a user with one or more roles. The command asks for the password or reads it from the first "
        "line of stdin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name")
        parser.add_argument(
            "--role",
            dest="roles",
            action="append",
            required=True,
            choices=[str(role) for role in Role],
            help="can be repeated",
        )
        parser.add_argument(
            "--password-stdin", action="store_true", help=("read the password from stdin, without asking")
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        user = create_user(
            username=options["name"], password=_password(options["password_stdin"]), roles=options["roles"], actor=None
        )
        if options["json"]:
            self.answer(user_document(user))
        self.say(f"{user.username} may sign in as {', '.join(sorted(set(options['roles'])))}.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError("There is no terminal to ask for the password. Send it to stdin and add --password-stdin.")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Password, again: "):
        raise UserError("The two passwords are different. No user was created. Try again.")
    return first
