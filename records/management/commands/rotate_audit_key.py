"""`manage.py rotate_audit_key`: put another secret key into force for later audit events."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from common.commands import ProductCommand
from records.audit.services import prepare_event_key, rotate_event_key


class Command(ProductCommand):
    help = "Authenticate later audit events with a new key. Earlier keys stay in AUDIT_EVENT_KEYS, for earlier events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="only make the key, so that every machine can get the file before the key comes into force",
        )

    def perform(self, **options: Any) -> None:
        identity = prepare_event_key() if options["prepare"] else rotate_event_key(actor=None)
        if options["json"]:
            self.answer({"key_id": identity, "in_force": not options["prepare"]})
        if options["prepare"]:
            self.say(
                f"The key {identity} is in {settings.AUDIT_EVENT_KEYS} and not in force. Copy the file to every "
                "machine that writes to this database, then run manage.py rotate_audit_key on this one."
            )
        else:
            self.say(f"The key {identity} is in force. Keep a copy of {settings.AUDIT_EVENT_KEYS}, apart from backups.")
