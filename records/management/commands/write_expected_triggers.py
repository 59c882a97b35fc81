"""`manage.py write_expected_triggers`: for developers, after a migration that makes or changes a trigger."""

from __future__ import annotations

from typing import Any

from common.commands import ProductCommand
from records.trigger_list import write_expected


class Command(ProductCommand):
    help = "Write down the triggers of this freshly migrated database as those that every database must have."

    def perform(self, **options: Any) -> None:
        self.say(f"Written to {write_expected()}.")
