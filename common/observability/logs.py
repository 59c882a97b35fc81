"""How a log line is written: for people (`line`), or as one JSON object (`json`), by the setting LOG_FORMAT.

Both pass through `redaction`, whoever logs.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from common.observability import tracing
from common.observability.ids import current_ids
from common.observability.redaction import redact


class LineFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object on one line: `time`, `level`, `logger`, `message`, the ids in force, and `exception` where one is."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **current_ids(),
            **tracing.current_ids(),
            **getattr(record, "fields", {}),
            "process": record.process,
            "thread": record.threadName,
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact(self.formatStack(record.stack_info))
        return json.dumps(line, ensure_ascii=False, default=str)
