"""gunicorn's own log and its access log, written like all others."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger

from common.observability.logs import JsonFormatter, LineFormatter
from common.observability.redaction import redact, redact_address


class GunicornLogger(Logger):
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        is_json = settings.LOG_FORMAT == "json"
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter() if is_json else LineFormatter())
        for handler in self.access_log.handlers:
            handler.setFormatter(JsonFormatter() if is_json else logging.Formatter())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> dict[str, Any]:
        """What a line may show. Headers and the environment, in which credentials stand, are left out."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        kept = {name: value for name, value in atoms.items() if not name.startswith("{") or name == "{x-request-id}o"}
        address = redact_address(str(environ.get("RAW_URI", "")))
        request_line = f"{environ['REQUEST_METHOD']} {address} {environ['SERVER_PROTOCOL']}"
        agent = redact(str(atoms["a"]))
        return kept | {"r": request_line, "U": redact(str(atoms["U"])), "q": "-", "f": "-", "u": "-", "a": agent}

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        if settings.LOG_FORMAT != "json":
            super().access(resp, req, environ, request_time)
            return
        if self.access_log_enabled:
            atoms = self.atoms(resp, req, environ, request_time)
            fields = {
                "request_id": atoms.get("{x-request-id}o", ""),
                "address": atoms["h"],
                "method": atoms["m"],
                "path": atoms["U"],
                "status": int(atoms["s"]),
                "bytes": atoms["B"],
                "milliseconds": atoms["M"],
                "agent": atoms["a"],
            }
            self.access_log.info("%s %s", atoms["r"], atoms["s"], extra={"fields": fields})
