"""`manage.py create_token USER NAME --scope inspect`: an API token, shown once."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.selectors import find_user, token_document
from accounts.services import issue_token
from common.commands import ProductCommand
from common.errors import UserError
from common.rights import Scope

_MAX_DAYS = 36500


class Command(ProductCommand):
    help = "Issue an API token for a user. The key is printed once and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument("name", help="what the token is for")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            choices=[str(scope) for scope in Scope],
            help="a right of the token, within the rights of its user; can be repeated (default: all)",
        )
        parser.add_argument("--days", type=int, help="days until it expires (default: never)")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        days = options["days"]
        if days is not None and not 1 <= days <= _MAX_DAYS:
            raise UserError(f"--days must be from 1 to {_MAX_DAYS}. No token was issued.")
        token, key = issue_token(
            user=find_user(options["user"]),
            name=options["name"],
            scopes=options["scopes"] or tuple(Scope),
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
            actor=None,
        )
        if options["json"]:
            self.answer({**token_document(token), "key": key})
        else:
            self.stdout.write(key)
