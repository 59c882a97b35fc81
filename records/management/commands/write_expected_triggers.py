"""`manage.py write_expected_triggers`: for developers, after a migration that makes or changes a trigger."""

from __future__ import annotations

import json
from typing import Any

from common.commands import ProductCommand
from records.trigger_list import expected_file, installed_triggers


class Command(ProductCommand):
    help = "Write down the triggers of this freshly migrated database as those that every database must have."

    def perform(self, **options: Any) -> None:
        path = expected_file()
        path.write_text(json.dumps(installed_triggers(), indent=1, sort_keys=True) + "\n")
        self.say(f"Written to {path}.")
