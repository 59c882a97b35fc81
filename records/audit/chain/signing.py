"""The key that signs checkpoints of the audit chain and packages of model versions, and the public keys for both.

The private key (Ed25519) is made at first use in VAR_DIR, readable by its owner only, or given by AUDIT_SIGNING_KEY.
The public keys of all keys that were ever used stay in VAR_DIR/audit_public_keys, so that a new key makes no earlier
checkpoint unreadable. Whoever keeps checkpoints elsewhere keeps the public key there too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings

from common.errors import UserError
from common.files import write_whole


class KeyUnusable(UserError):
    code = "signing_key_unusable"


def public_key_folder() -> Path:
    return Path(settings.VAR_DIR) / "audit_public_keys"


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def own_key() -> Ed25519PrivateKey:
    """The installation's private key, made when there is none yet. Its public key is filed for good."""
    path = Path(settings.AUDIT_SIGNING_KEY)
    if not path.exists() and path == Path(settings.VAR_DIR) / "audit_key.pem":
        _make(path)
    key = _read_private(path)
    file_public_key(key.public_key())
    return key


def own_public_key() -> Ed25519PublicKey | None:
    """None as long as nothing was ever signed here."""
    path = Path(settings.AUDIT_SIGNING_KEY)
    return _read_private(path).public_key() if path.exists() else None


def keys_by_id(files: Iterable[Path] = ()) -> dict[str, Ed25519PublicKey]:
    """By key id: our own, those used here earlier, and those of the files.

    Where AUDIT_PUBLIC_KEYS pins the keys that are believed, those and those of the files alone: whoever writes to
    VAR_DIR, or hands us a backup, can put a key beside ours.
    """
    if settings.AUDIT_PUBLIC_KEYS:
        return {key_id(key): key for key in [*_pinned_keys(), *(read_public(path) for path in files)]}
    current = own_public_key()
    keys = [current] if current else []
    keys += [read_public(path) for path in [*sorted(public_key_folder().glob("*.pem")), *files]]
    return {key_id(key): key for key in keys}


def _pinned_keys() -> list[Ed25519PublicKey]:
    place = Path(settings.AUDIT_PUBLIC_KEYS)
    files = sorted(place.glob("*.pem")) if place.is_dir() else [place]
    if not files:
        raise KeyUnusable(
            f"AUDIT_PUBLIC_KEYS names the folder {place}, which holds no public key (*.pem). Nothing was checked. "
            "Write one with: manage.py audit_checkpoint --public-key"
        )
    return [read_public(path) for path in files]


def read_public(path: Path) -> Ed25519PublicKey:
    try:
        return public_from(path.read_bytes(), str(path))
    except OSError as error:
        raise KeyUnusable(f"{path} is not a public key in PEM form ({error}). Nothing was checked.") from error


def public_from(text: bytes, name: str = "The text") -> Ed25519PublicKey:
    """The public key of a PEM text. Raises `KeyUnusable` with the `name` of where it comes from."""
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{name} is not a public key in PEM form ({error}). Nothing was checked.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{name} holds a key of another kind than Ed25519. Nothing was checked.")
    return key


def file_public_key(key: Ed25519PublicKey) -> None:
    path = public_key_folder() / f"{key_id(key)}.pem"
    if not path.exists():
        _write(path, pem(key), mode=0o644)


def is_signed(text: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _make(path: Path) -> None:
    fresh = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(path, fresh.decode(), mode=0o600)


def _write(path: Path, text: str, *, mode: int) -> None:
    """The first writer's when two write at once, so that all processes read one and the same key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), write_whole(path, mode=mode, replace=False) as out:
            out.write(text.encode())
    except OSError as error:
        raise KeyUnusable(
            f"The key that signs checkpoints cannot be kept ({error.strerror or error}). No checkpoint was made. "
            "Correct the permissions of the folder, or set AUDIT_SIGNING_KEY to a key file."
        ) from error


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"AUDIT_SIGNING_KEY names no unencrypted private key in PEM form ({getattr(error, 'strerror', error)}). No "
            "checkpoint was made. "
            "Make one with: openssl genpkey -algorithm ed25519 -out FILE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable("AUDIT_SIGNING_KEY names a key of another kind than Ed25519. No checkpoint was made.")
    return key
