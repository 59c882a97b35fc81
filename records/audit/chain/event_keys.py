"""The secret keys that authenticate audit events, in one file beside the database, never in it.

The file is made at first use (AUDIT_EVENT_KEYS, readable by its owner only) and says from which event on authenticators
are required, so that nobody with the database can take them all away and call the chain an old one. The newest event in
the chain says which key is in force; of several machines each needs the same file.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings

from common.errors import UserError
from common.files import write_whole
from records.audit.chain.hashes import Authentication

FORMAT = "mvtec-audit-event-keys-1"


class EventKeyMissing(UserError):
    code = "event_key_missing"
    status = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class EventKeys:
    """What the file says. `keys` in the order in which they come into use; `current` is in use since it says so."""

    starts: int
    current: str
    keys: dict[str, bytes]

    @property
    def newest(self) -> str:
        return list(self.keys)[-1]

    def with_fresh_key(self) -> EventKeys:
        secret = secrets.token_bytes(32)
        return replace(self, keys=self.keys | {key_id_of(secret): secret})

    def authentication(self) -> Authentication:
        return Authentication(keys=self.keys, starts=self.starts, current=self.current, is_required=True)


def key_id_of(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()[:16]


def event_keys() -> EventKeys | None:
    """None as long as there is no file. Read again when it changed: a rotation reaches all processes."""
    path = Path(settings.AUDIT_EVENT_KEYS)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    return _read(path, status.st_mtime_ns, status.st_ino, status.st_size)


def required_event_keys(last_key: str) -> EventKeys:
    """Raises `EventKeyMissing` where the key is not here that the chain goes on with."""
    known = event_keys()
    if known is None or last_key not in known.keys:
        raise EventKeyMissing(
            f"The audit log is authenticated with the key {last_key}, and this machine does not have it. Nothing was "
            "changed. Copy the file of AUDIT_EVENT_KEYS here from a machine that writes to this database."
        )
    return known


def make_event_keys(*, starts: int) -> EventKeys:
    """The first key. A file that is there keeps its keys, and requires authenticators from the earlier event on."""
    known = event_keys()
    if known is None:
        secret = secrets.token_bytes(32)
        fresh = EventKeys(starts, key_id_of(secret), {key_id_of(secret): secret})
        with suppress(FileExistsError):  # somebody was faster: his key is the one
            return save_event_keys(fresh, may_replace=False)
        known = event_keys() or fresh
    return known if known.starts <= starts else save_event_keys(replace(known, starts=starts))


def start_again(*, starts: int) -> EventKeys:
    """A new key from this event on, for a chain whose keys did not come along (a restored backup)."""
    known = event_keys()
    if known is None:
        return make_event_keys(starts=starts)
    fresh = known.with_fresh_key()
    return save_event_keys(replace(fresh, starts=starts, current=fresh.newest))


def save_event_keys(known: EventKeys, *, may_replace: bool = True) -> EventKeys:
    path = Path(settings.AUDIT_EVENT_KEYS)
    document = {
        "format": FORMAT,
        "authenticated_from": known.starts,
        "current": known.current,
        "keys": [{"id": identity, "secret": secret.hex()} for identity, secret in known.keys.items()],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path, mode=0o600, replace=may_replace) as out:
            out.write(json.dumps(document, indent=1).encode() + b"\n")
    except FileExistsError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error
    return known


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, inode: int, size: int) -> EventKeys:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        keys = {entry["id"]: bytes.fromhex(entry["secret"]) for entry in document["keys"]}
        wrong = [identity for identity, secret in keys.items() if key_id_of(secret) != identity or len(secret) < 32]
        starts, current = document["authenticated_from"], document["current"]
        if document["format"] != FORMAT or wrong or current not in keys or type(starts) is not int or starts < 1:
            raise ValueError("it does not say what such a file says")
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _unusable(path, error) from error
    return EventKeys(starts, current, keys)


def _unusable(path: Path, error: Exception) -> EventKeyMissing:
    return EventKeyMissing(
        f"AUDIT_EVENT_KEYS names no usable file of keys ({path.name}: {getattr(error, 'strerror', None) or error}). "
        "Nothing was changed. Bring it back from another machine or your copy, or correct its permissions."
    )
