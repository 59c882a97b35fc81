"""The scheduler's own promise: that a clock which was set back stops nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from jobs.scheduler import Scheduler
from mvtec_site import celery as product


class Noting(Scheduler):
    """Notes what it would send."""

    def apply_async(self, entry: Any, *arguments: Any, **options: Any) -> None:
        self.sent = [*getattr(self, "sent", []), entry.name]


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=400)])
def test_what_was_sent_in_the_future_is_sent_again_soon(tmp_path: Path, ahead: timedelta) -> None:
    app = Celery("clock", broker="memory://")
    app.conf.beat_schedule = {"sweep": {"task": "sweep", "schedule": 5.0}}
    scheduler = Noting(app=app, schedule_filename=str(tmp_path / "beat"), lazy=True)
    scheduler.setup_schedule()
    scheduler.schedule["sweep"].last_run_at = datetime.now(UTC) + ahead
    assert scheduler.tick() <= 5
    scheduler.schedule["sweep"].last_run_at = datetime.now(UTC) - timedelta(seconds=6)
    scheduler._heap = None
    scheduler.tick()
    assert scheduler.sent == ["sweep"]
    scheduler.close()


def test_the_product_uses_it() -> None:
    assert product.app.conf.beat_scheduler == "jobs.scheduler:Scheduler"
