"""gunicorn's settings, for every way of starting: `gunicorn -c python:mvtec_site.webserver.gunicorn_settings`.

What an installation may want to change comes from the environment (WEB_..., docs/operations.md).
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")

from django.conf import settings

wsgi_app = "mvtec_site.wsgi:application"
bind = "0.0.0.0:8000"
worker_class = "mvtec_site.webserver.worker.BufferedWorker"
workers = settings.WEB_PROCESSES
backlog = 2048
# The loop gives a sign of life twice a second; a process that gives none for so long is replaced.
timeout = 60
graceful_timeout = 25  # a call that waits for a worker is nearly always through by then
accesslog = "-"
logger_class = "common.observability.gunicorn_logger.GunicornLogger"
access_log_format = '%(h)s %(t)s "%(r)s" %(s)s %(b)s %(M)sms "%(a)s" %({x-request-id}o)s'
control_socket_disable = True

_STALE_AFTER_SECONDS = 24 * 3600


def on_starting(server: Any) -> None:
    """Removes what uploads left behind when an earlier server was killed."""
    if not settings.UPLOAD_DIR.is_dir():
        return
    before = time.time() - _STALE_AFTER_SECONDS
    for path in settings.UPLOAD_DIR.iterdir():
        try:
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()
        except OSError as error:
            server.log.warning("%s cannot be removed: %s", path, error)
