"""What a kind of connection is: its settings, its secrets, and what speaks to the other side.

A kind is one module (`edge/webhooks/kind.py`, `edge/mqtt/kind.py`) that makes a `Kind`, listed in
`edge.connections.registry`. The page's form, the API's checks and the process that keeps connections read the rest
from it.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from common.errors import UserError

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Words: TypeAlias = "str | _StrPromise"


class SettingInvalid(UserError):
    """A setting that its kind does not take; `extra` names the field."""

    code = "invalid"


@dataclass(frozen=True)
class Setting:
    """One setting of a kind: `form` is str, int, float or bool; with `choices` one of them."""

    name: str
    label: Words
    form: type = str
    default: Any = ""
    help: Words = ""
    is_required: bool = False
    low: float | None = None
    high: float | None = None
    max_length: int = 500
    choices: tuple[tuple[str, Words], ...] = ()
    is_long: bool = False  # several lines

    def clean(self, value: Any) -> Any:
        """The value as it is kept. Raises `SettingInvalid`."""
        if value is None or value == "":
            if self.is_required and (value == "" or self.default == ""):
                raise self._invalid("must be given")
            return self.default if value is None or self.form is not str else ""
        if self.form is bool:
            return self._clean_bool(value)
        if self.form in (int, float):
            return self._clean_number(value)
        if not isinstance(value, str):
            raise self._invalid("must be text")
        text = value if self.is_long else value.strip()
        if len(text) > self.max_length:
            raise self._invalid(f"may have {self.max_length} characters at most")
        allowed = "\r\n\t" if self.is_long else ""
        if not all(character.isprintable() or character in allowed for character in text):
            raise self._invalid("must be printable text" + ("" if self.is_long else " of one line"))
        if self.choices and text not in {name for name, _ in self.choices}:
            raise self._invalid(f"must be one of {', '.join(name for name, _ in self.choices)}")
        return text

    def _clean_bool(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "on", "1", "yes", "false", "off", "0", "no"):
            return str(value).lower() in ("true", "on", "1", "yes")
        raise self._invalid("must be true or false")

    def _clean_number(self, value: Any) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            number: float = self.form(value) if isinstance(value, str) else value
            if not math.isfinite(number) or (self.form is int and number != int(number)):
                raise ValueError
            number = self.form(number)
        except (TypeError, ValueError, OverflowError):
            raise self._invalid("must be a whole number" if self.form is int else "must be a number") from None
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise self._invalid(f"must be {self.low:g} to {self.high:g}")
        return number

    def _invalid(self, why: str) -> SettingInvalid:
        return SettingInvalid(f"The setting {self.name} {why}. Nothing was changed.", field=self.name)


@dataclass(frozen=True)
class SecretField:
    """A secret of a kind, which is set and never shown again. `overlap`: an old one holds on for a while."""

    name: str
    label: Words
    help: Words = ""
    is_required: bool = False
    min_length: int = 1
    overlap_hours: int = 0


@dataclass(frozen=True)
class Target:
    """A connection as the process that keeps it sees it; a later change makes another one.

    `secrets`: of each name those in force, the newest first.
    """

    connection_id: int
    name: str
    kind: str
    station: str
    category: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, tuple[str, ...]]
    line_time_ms: int | None
    revision: int

    def secret(self, name: str) -> str:
        """The newest one, or nothing."""
        return next(iter(self.secrets.get(name, ())), "")


@dataclass(frozen=True)
class Message:
    """One delivery as it goes out. `document` is the wire format of docs/line.md, and says all of the rest, too."""

    delivery_id: str
    station: str
    category: str
    verdict: str  # good, defective, not_comparable or no_verdict: what the line acts on
    sequence: int
    attempt: int
    is_duplicate: bool
    is_late: bool
    document: Mapping[str, Any]


class Sender:
    """Speaks to the other side of one connection, in a thread of its own that calls nothing else meanwhile.

    After any exception it is closed, and another one is made and opened for the next attempt.
    """

    def open(self) -> None:
        """Connect. Raises `NotSent` or `OSError` where there is no way to the other side."""

    def send(self, message: Message) -> None:
        """Return when the other side has taken it.

        Raises `Refused` (never again), `NotSent` (nothing of it left) or `NotDelivered`/`OSError`: nobody knows.
        """
        raise NotImplementedError

    def tick(self) -> None:
        """Called every `TICK_SECONDS` or so, also when nothing is sent: signs of life, whether the connection holds.

        Raises as `open` does, where it does not.
        """

    def close(self) -> None:
        """Leave in order. Raises nothing that matters."""


TICK_SECONDS = 0.5


@dataclass
class Figures:
    """What a kind counts of its own (frames lost, triggers refused): shown on the page of the connection."""

    counts: dict[str, int | float | str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, number: int = 1) -> None:
        with self.lock:
            self.counts[name] = int(self.counts.get(name, 0)) + number

    def put(self, name: str, value: float | str) -> None:
        with self.lock:
            self.counts[name] = value

    def as_dict(self) -> dict[str, int | float | str]:
        with self.lock:
            return dict(self.counts)


def _no_sign() -> None:
    """Nobody asks for signs of life."""


class Source:
    """What comes in over one connection (triggers, frames), in a thread of its own."""

    # Called by `run` every few seconds: who does not for HUNG_SECONDS is taken to hang, and the process is restarted.
    note_sign: Callable[[], None] = staticmethod(_no_sign)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, with looks at it every second or so.

        Raises `NotSent` or `OSError` where the other side is away: it is closed, and another one is made and run after
        a pause.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Called after `run`, however it ended."""


@dataclass(frozen=True)
class Kind:
    """A kind of connection.

    `make_sender`: for kinds that take verdicts; `make_source`: for those that bring something in, or None where the
    settings ask for none; `check`: what can only be said of several settings together, raises `SettingInvalid`.
    `modules`: what has to be installed for it, which `requirement` brings. `forwards_records`: what it takes is the
    record itself with its files, which are kept until it has them; however long that takes, it is not given up.
    """

    name: str
    title: Words
    summary: Words
    settings: tuple[Setting, ...]
    secrets: tuple[SecretField, ...] = ()
    make_sender: Callable[[Target, Figures], Sender] | None = None
    make_source: Callable[[Target, Figures], Source | None] | None = None
    check: Callable[[Mapping[str, Any]], None] = lambda settings: None
    modules: tuple[str, ...] = ()
    requirement: str = "requirements-edge.txt"
    forwards_records: bool = False

    @property
    def takes_verdicts(self) -> bool:
        return self.make_sender is not None

    @property
    def missing_modules(self) -> list[str]:
        return [name for name in self.modules if importlib.util.find_spec(name) is None]

    def require_installed(self) -> None:
        """Raises `UserError` where what it needs is not installed."""
        if missing := self.missing_modules:
            raise UserError(
                f"Connections of the kind {self.name} need {', '.join(missing)}, which is not installed here. Nothing "
                f"was changed. Install it with: pip install -r {self.requirement}",
                code="kind_not_installed",
            )

    def clean(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All settings as they are kept, defaults for those that are not given. Raises `SettingInvalid`."""
        known = {setting.name for setting in self.settings}
        if unknown := sorted(set(values) - known):
            raise SettingInvalid(
                f"Connections of the kind {self.name} have no setting {', '.join(unknown)}. Nothing was changed. "
                f"They have: {', '.join(sorted(known))}.",
                field=unknown[0],
            )
        cleaned = {setting.name: setting.clean(values.get(setting.name)) for setting in self.settings}
        self.check(cleaned)
        return cleaned

    def secret_field(self, name: str) -> SecretField:
        found = next((secret for secret in self.secrets if secret.name == name), None)
        if found is None:
            raise SettingInvalid(
                f"Connections of the kind {self.name} have no secret {name}. Nothing was changed.", field="name"
            )
        return found


def late_at(requested_at: datetime, line_time_ms: int | None) -> float | None:
    """After which moment (seconds since 1970) the line no longer acts on a verdict; None: it always does."""
    return None if line_time_ms is None else requested_at.timestamp() + line_time_ms / 1000
