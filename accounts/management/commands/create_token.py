"""`manage.py create_token USER NAME`: an API token, shown once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from accounts.services import issue_token
from mvtec_site.errors import UserError
from records.context import acting


class Command(BaseCommand):
    help = "Issue an API token for a user. The key is printed once and cannot be had again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument("name", help="what the token is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user named {options['user']!r}; make one with manage.py createsuperuser.")
        try:
            with acting("command"):
                _, plain = issue_token(user=user, name=options["name"], actor=None)
        except UserError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(plain)
