"""Signed checkpoints of the audit chain: what they say, what is signed, and the small files kept elsewhere.

Who rewrites the whole chain can make every hash fit again, but not what a checkpoint said, once that is kept where he
cannot reach. Each checkpoint covers the event that reports it, and there is none when nothing happened since the last.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import UserError
from common.files import write_whole
from records.audit.chain.signing import is_signed
from records.models import AuditCheckpoint
from records.storage.errors import StorageFailed

FORMAT = "mvtec-audit-checkpoint-2"
_FIRST_FORMAT = "mvtec-audit-checkpoint-1"  # of before events were authenticated
_SIGNED = ("sequence", "head", "events", "at", "key_id")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as its file says it. `signature` is base64 of Ed25519 over `signed_text`."""

    sequence: int
    head: str
    events: int
    at: str
    key_id: str
    signature: str = ""
    authenticated_from: int | None = None
    origin: str = "kept here"

    @property
    def name(self) -> str:
        return f"the checkpoint of {self.at} ({self.origin})"

    @property
    def filename(self) -> str:
        return f"audit-checkpoint-{self.sequence:012}.json"

    def signed_text(self) -> bytes:
        """Lines of `name: value` in this order, in UTF-8, each ended by a line feed."""
        names = _SIGNED if self.authenticated_from is None else (*_SIGNED, "authenticated_from")
        lines = (self.format, *(f"{name}: {getattr(self, name)}" for name in names))
        return "".join(f"{line}\n" for line in lines).encode()

    @property
    def format(self) -> str:
        return _FIRST_FORMAT if self.authenticated_from is None else FORMAT

    def document(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["origin"]
        if self.authenticated_from is None:
            del fields["authenticated_from"]
        return {"format": self.format, **fields}

    def check_signature(self, keys: dict[str, Ed25519PublicKey]) -> str:
        """What is wrong with it; empty when it is genuine."""
        key = keys.get(self.key_id)
        if key is None:
            return f"{self.name} is signed by the key {self.key_id}, which is not known here (--public-key FILE)"
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except ValueError:
            signature = b""
        return "" if is_signed(self.signed_text(), signature, key) else f"{self.name} has no valid signature"


def checkpoint_of(row: AuditCheckpoint) -> Checkpoint:
    return Checkpoint(
        sequence=row.sequence,
        head=row.head,
        events=row.events,
        at=_spell_time(row.at),
        key_id=row.key_id,
        signature=row.signature,
        authenticated_from=row.authenticated_from,
    )


def _spell_time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write its file, whole or not at all. The same one again changes nothing."""
    text = json.dumps(checkpoint.document(), indent=1) + "\n"
    try:
        if path.exists() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as out:
            out.write(text.encode())
    except OSError as error:
        raise StorageFailed(
            f"The checkpoint could not be written to {path.name} ({error.strerror or error}). It is kept in the "
            "database; correct the folder and request a checkpoint again.",
            code="checkpoint_not_written",
        ) from error


def checkpoints_in(folder: Path) -> list[Checkpoint]:
    """All that were written into a folder under the names that they get there."""
    return read_checkpoints(sorted(folder.glob("audit-checkpoint-*.json")))


def read_checkpoints(files: Iterable[Path]) -> list[Checkpoint]:
    """Checkpoints that were kept elsewhere. Raises `UserError` for a file that is none."""
    return [_read(path) for path in files]


def _read(path: Path) -> Checkpoint:
    try:
        return checkpoint_from(path.read_text(), origin=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a checkpoint of an audit chain ({error}). Nothing was checked.") from error


def checkpoint_from(text: str, *, origin: str) -> Checkpoint:
    """What the text of a file, an e-mail or a QR code says. Raises `UserError` for a text that is none."""
    try:
        fields = json.loads(text)
        form = fields.pop("format")
        checkpoint = Checkpoint(**fields, origin=origin)
        if form != checkpoint.format:
            raise ValueError("another format")
        shape = {name: type(value) for name, value in asdict(checkpoint).items()}
        numbers = {"sequence": int, "events": int, "authenticated_from": type(checkpoint.authenticated_from)}
        if shape != dict.fromkeys(shape, str) | numbers or checkpoint.sequence < 1:
            raise ValueError("a value of another kind")
        if numbers["authenticated_from"] not in (int, type(None)):
            raise ValueError("a value of another kind")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{origin} is not a checkpoint of an audit chain ({error}). Nothing was checked.") from error
    return checkpoint
