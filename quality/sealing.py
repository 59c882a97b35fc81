"""Signing what is handed out, with the key that signs the checkpoints of the audit log."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from records.audit.chain.signing import key_id, own_key


@dataclass(frozen=True)
class Seal:
    """SHA-256 of what was signed, the Ed25519 signature in base64, and which key made it."""

    sha256: str
    signature: str
    key_id: str


def seal(data: bytes) -> Seal:
    """Raises `KeyUnusable`."""
    key = own_key()
    return Seal(hashlib.sha256(data).hexdigest(), base64.b64encode(key.sign(data)).decode(), key_id(key.public_key()))
