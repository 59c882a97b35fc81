"""`manage.py unlock_user NAME`: end a lock-out before its time."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.models import FailedSignIns
from accounts.sign_in import unlock
from common.commands import ProductCommand


class Command(ProductCommand):
    help = (
        "Clear the failed sign-ins of a user name, or of an address with --address. Signing in is then possible again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name as typed, or an address with --address")
        parser.add_argument("--address", action="store_true", help="NAME is an address that is locked out")

    def perform(self, **options: Any) -> None:
        kind = FailedSignIns.Kind.ADDRESS if options["address"] else FailedSignIns.Kind.USER
        unlocked = unlock(kind=kind, name=options["name"], actor=None)
        self.say(f"{unlocked.failures} failed sign-ins of {unlocked.name} are forgotten.")
