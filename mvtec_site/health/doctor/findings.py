"""What a check finds, and how checks are run: one that fails is a finding, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

log = logging.getLogger(__name__)


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """`fix`: the command or setting that mends it; empty where all is well."""

    level: Level
    topic: str
    text: str
    fix: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(topic: str, text: str) -> Finding:
    return Finding(Level.OK, topic, text)


def warning(topic: str, text: str, fix: str) -> Finding:
    return Finding(Level.WARNING, topic, text, fix)


def problem(topic: str, text: str, fix: str) -> Finding:
    return Finding(Level.PROBLEM, topic, text, fix)


def run(checks: Iterable[Check]) -> Iterator[Finding]:
    for check in checks:
        topic = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield from check()
        except Exception as error:
            log.debug("The check %s failed.", topic, exc_info=error)
            yield problem(
                topic,
                f"This could not be checked: {type(error).__name__}: {error}".strip().splitlines()[0],
                "Mend what else is reported, then run it again; LOG_LEVEL=DEBUG shows the traceback.",
            )
