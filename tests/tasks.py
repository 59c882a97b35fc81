"""Tasks done at once in place of a broker and a worker."""

from __future__ import annotations

from celery import current_app


def run_now(task: str, *ids: object, throw: bool = False) -> bool:
    """What `jobs.broker.publish` sends, done before the caller goes on."""
    current_app.loader.import_default_modules()
    current_app.tasks[task].apply(args=tuple(str(one) for one in ids), throw=throw)
    return True
