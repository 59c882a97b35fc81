"""`manage.py export_audit`: the audit log as JSON Lines, which `verify_audit --file` verifies without the database."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_naive, make_aware

from common.commands import ProductCommand
from common.errors import UserError
from records.audit.chain.export import lines_of
from records.audit.selectors import filter_events, stream_events
from records.audit.services import note_export

FILTERS = ("actor", "kind", "object_type", "object_id", "source", "request_id", "since", "until")


class Command(ProductCommand):
    help = "Write audit events as JSON Lines, oldest first, with all that is needed to recompute their hashes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="file to write; standard output without it")
        for name in FILTERS:
            parser.add_argument(f"--{name.replace('_', '-')}", default="", help="only such events (ISO 8601 for times)")

    def perform(self, **options: Any) -> None:
        filters = {name: options[name] for name in FILTERS if options[name]}
        times: dict[str, Any] = {name: _moment(name, filters[name]) for name in ("since", "until") if name in filters}
        events = filter_events(**(filters | times))
        event = note_export(filters=filters, actor=None)
        lines = lines_of(stream_events(events, last=event.sequence))
        output: Path | None = options["output"]
        if output is None:
            self.stdout.writelines(lines)
            return
        count = 0
        try:
            with output.open("w", encoding="utf-8") as out:
                for count, line in enumerate(lines, 1):  # noqa: B007 - counted for the sentence below
                    out.write(line)
        except OSError as error:
            raise UserError(f"{output} cannot be written ({error.strerror or error}). It is not complete.") from error
        self.say(f"{count} events written to {output}.")


def _moment(name: str, text: str) -> datetime:
    """A date, or a date and time, in the system's time zone where it names none."""
    try:
        moment = parse_datetime(text) or parse_datetime(f"{parse_date(text)}T00:00:00")
        if moment:
            return (make_aware(moment) if is_naive(moment) else moment).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at the ends of the calendar, which UTC may be beyond
        pass
    raise UserError(f"--{name} {text!r} is not a date and time in ISO 8601, such as 2026-11-25T14:00:00Z.")
