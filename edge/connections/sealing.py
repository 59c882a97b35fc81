"""Secrets of connections as they lie in the database: encrypted, with a key that lies outside of it.

The key is derived from SECRET_KEY: whoever has the database or a backup of it alone reads no secret. With another
SECRET_KEY they cannot be read any more, and are set again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """It was sealed with another SECRET_KEY, or changed since."""


def _derived(purpose: bytes) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"mvtec edge connections: " + purpose)
    return kdf.derive(settings.SECRET_KEY.encode())


def seal(secret: str) -> str:
    return Fernet(base64.urlsafe_b64encode(_derived(b"seal"))).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises `Unreadable`."""
    try:
        return Fernet(base64.urlsafe_b64encode(_derived(b"seal"))).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def fingerprint(secret: str) -> str:
    """Of a secret: equal for equal ones, and without the key it says nothing, not even of a short one."""
    return hmac.new(_derived(b"fingerprint"), secret.encode(), hashlib.sha256).hexdigest()[:16]
