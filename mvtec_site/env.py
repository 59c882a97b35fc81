"""Typed reading of environment variables.

Every setting of the product goes through one of these helpers, so that a wrong value stops the start with one
sentence that names the variable, and `manage.py show_config` can list what is in force and where it came from. A secret
NAME may instead come from the file that `NAME_FILE` names, as Docker and systemd hand secrets over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
_MAX_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """One setting as `show_config` prints it."""

    name: str
    value: Any
    default: Any
    source: str  # default, environment or file
    secret: bool
    help: str


def read_secret(source: Mapping[str, str], name: str) -> tuple[str, str]:
    """A secret and where it comes from: the variable itself, or the file that `NAME_FILE` names ("" where neither is).

    White space around it, such as the line's end that editors write, is no part of a secret.
    """
    text, path = source.get(name, "").strip(), source.get(f"{name}_FILE", "").strip()
    if text and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; set one of the two.")
    if not path:
        return text, "environment" if text else "default"
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MAX_SECRET_BYTES + 1).decode().strip()
    except (OSError, ValueError) as error:
        reason = "it is no text" if isinstance(error, ValueError) else error.strerror
        raise ImproperlyConfigured(
            f"{name}_FILE must name a file that can be read; {path} cannot ({reason})."
        ) from None
    if not text or len(text) > _MAX_SECRET_BYTES:
        raise ImproperlyConfigured(f"{name}_FILE must name a file with the secret and nothing else; {path} is not one.")
    return text, "file"


class Environment:
    """Reads variables and remembers what was read. An empty variable counts as unset, as in compose files."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = os.environ if source is None else source
        self.entries: dict[str, Entry] = {}

    def _read(self, name: str, default: T, parse: Callable[[str], T], help: str, secret: bool = False) -> T:
        if secret:
            raw, origin = read_secret(self._source, name)
        else:
            raw = self._source.get(name, "").strip()
            origin = "environment" if raw else "default"
        value = default
        if raw:
            try:
                value = parse(raw)
            except ValueError as error:
                value_text = "a value that is not shown" if secret else repr(raw)
                raise ImproperlyConfigured(f"{name} {error}; it is set to {value_text}.") from None
        self.entries[name] = Entry(name, value, default, origin, secret, help)
        return value

    def text(self, name: str, default: str, help: str, *, secret: bool = False) -> str:
        return self._read(name, default, str, help, secret)

    def path(self, name: str, default: Path, help: str) -> Path:
        return self._read(name, default, lambda raw: Path(raw).expanduser().absolute(), help)

    def flag(self, name: str, default: bool, help: str) -> bool:
        def parse(raw: str) -> bool:
            words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
            words["off"] = False
            if raw.lower() not in words:
                raise ValueError("must be one of 1, 0, true, false, yes, no, on, off")
            return words[raw.lower()]

        return self._read(name, default, parse, help)

    def integer(self, name: str, default: int, help: str, *, low: int, high: int) -> int:
        def parse(raw: str) -> int:
            try:
                value = int(raw)
            except ValueError:
                raise ValueError(f"must be a whole number from {low} to {high}") from None
            if not low <= value <= high:
                raise ValueError(f"must be a whole number from {low} to {high}")
            return value

        return self._read(name, default, parse, help)

    def real(self, name: str, default: float, help: str, *, low: float, high: float) -> float:
        def parse(raw: str) -> float:
            try:
                value = float(raw)
            except ValueError:
                value = math.nan
            if not low <= value <= high:
                raise ValueError(f"must be a number from {low:g} to {high:g}")
            return value

        return self._read(name, default, parse, help)

    def choice(self, name: str, default: str, choices: tuple[str, ...], help: str) -> str:
        def parse(raw: str) -> str:
            if raw not in choices:
                raise ValueError(f"must be one of {', '.join(choices)}")
            return raw

        return self._read(name, default, parse, help)

    def words(self, name: str, default: tuple[str, ...], help: str) -> tuple[str, ...]:
        def parse(raw: str) -> tuple[str, ...]:
            values = tuple(word.strip() for word in raw.split(",") if word.strip())
            if not values:
                raise ValueError("must be a list of words separated by commas")
            return values

        return self._read(name, default, parse, help)
