"""The ids that log lines carry: of the HTTP request, the inspection, the training run or other job, and the task.

They go with the work: web -> message headers -> worker -> the environment of a training process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType

NAMES = ("request_id", "inspection_request", "inspection", "run", "job", "task", "task_id")
HEADER = "mvtec_ids"  # of a message
_ENVIRONMENT = "MVTEC_LOG_IDS"  # of a child process
_ID = re.compile(r"[\w.:@-]{1,100}")

_ids: ContextVar[Mapping[str, str]] = ContextVar("log_ids", default=MappingProxyType({}))


def current_ids() -> dict[str, str]:
    return dict(_ids.get())


@contextmanager
def log_ids(**ids: object) -> Iterator[None]:
    """Log lines of the block carry these ids besides those that they carry already."""
    token = begin(ids)
    try:
        yield
    finally:
        end(token)


def begin(ids: Mapping[str, object]) -> Token[Mapping[str, str]]:
    """As `log_ids`, for what begins in one function and ends in another (`end`)."""
    return _ids.set({**_ids.get(), **_readable(ids)})


def end(token: Token[Mapping[str, str]]) -> None:
    _ids.reset(token)


def _readable(ids: object) -> dict[str, str]:
    """Those of our names that are plain words: what a message or the environment says is not believed further."""
    if not isinstance(ids, Mapping):
        return {}
    return {name: str(ids[name]) for name in NAMES if ids.get(name) and _ID.fullmatch(str(ids[name]))}


def in_environment() -> dict[str, str]:
    """The environment of a child process whose log lines shall carry our ids."""
    return os.environ | {_ENVIRONMENT: json.dumps(current_ids())}


def take_from_environment() -> None:
    """Called when such a process begins."""
    try:
        begin(_readable(json.loads(os.environ.get(_ENVIRONMENT) or "{}")))
    except ValueError:
        return
