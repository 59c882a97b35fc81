"""Keys with which a caller may repeat a request without doing it twice (`Idempotency-Key`).

A key belongs to its caller: nobody meets the key of somebody else. Beside it stands a fingerprint of what was asked
for, so that a key which was used for something else is told and not answered with the wrong record.
"""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus
from typing import Any

from common.errors import UserError
from records.audit.services import Actor
from records.models import canonical

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replay"


class KeyReused(UserError):
    code = "idempotency_key_reused"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self) -> None:
        super().__init__(
            f"This {HEADER} was used for another request. Nothing was done. Repeat that request as it was, or use a "
            "new key for this one."
        )


def own_key(key: str | None, *, actor: Actor) -> str | None:
    """The key as it is kept: with its caller's id before it. None where none was given."""
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?", key):
        raise UserError(
            f"{HEADER} must be 1 to 200 printable ASCII characters. Nothing was done. A new UUID is a good key.",
            code="invalid_idempotency_key",
        )
    return f"{actor.pk if actor is not None and actor.pk is not None else '-'}:{key}"


def fingerprint(**values: Any) -> str:
    """A request in 64 characters: plain JSON values by name."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()


def check_same(*, existing_fingerprint: str, request_fingerprint: str) -> None:
    """Raises `KeyReused` where a key stands for something else."""
    if existing_fingerprint != request_fingerprint:
        raise KeyReused
