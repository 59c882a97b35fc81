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
    help = "Make a user with one or more roles. The password is asked for, or read from the first line of stdin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name")
        parser.add_argument(
            "--role",
            dest="roles",
            action="append",
            required=True,
            choices=[str(role) for role in Role],
            help="may be given several times",
        )
        parser.add_argument("--password-stdin", action="store_true", help="read the password from stdin, ask nothing")
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
        raise UserError("There is no terminal to ask at. Send the password to stdin and give --password-stdin.")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Password, again: "):
        raise UserError("The two passwords differ. No user was made; try again.")
    return first
