"""`manage.py restore_triggers`: put back what somebody took away."""

from __future__ import annotations

from typing import Any

from common.commands import ProductCommand
from records.trigger_list import restore_triggers


class Command(ProductCommand):
    help = "Put triggers of the database back that are missing or were changed. Rows stay as they are: verify them."

    def perform(self, **options: Any) -> None:
        names = restore_triggers(actor=None)
        if not names:
            self.say("Every trigger is in place. Nothing was changed.")
            return
        self.say(
            f"{len(names)} triggers were put back: {', '.join(names)}. What happened meanwhile they cannot tell: run "
            "manage.py verify_audit --records --files."
        )
