"""The centre's signed receipts: kept when they come, and checked again later.

The centre's public key is kept in VAR_DIR/centre_public_keys, outside of the database that the receipts vouch for.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

from common.errors import UserError
from common.files import write_whole
from edge.centre.models import CentreReceipt
from edge.nodes.wire import receipt_text
from jobs.outbox import NotSent
from records.audit.chain.signing import is_signed, key_id, pem, public_from, read_public


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "centre_public_keys"


def keep_receipt(answer: dict[str, Any], *, node: str) -> None:
    """Raises `NotSent` where it is not signed by the centre that this node knows from its first contact."""
    try:
        receipt = CentreReceipt(
            sequence=int(answer["sequence"]),
            head=str(answer["head"]),
            node=node,
            at=str(answer["at"]),
            centre_event=int(answer["centre_event"]),
            key_id=str(answer["key_id"]),
            signature=str(answer["signature"]),
        )
        key = public_from(str(answer["public_key"]).encode())
    except (KeyError, TypeError, ValueError, UserError) as error:
        raise NotSent("The centre's receipt cannot be read.") from error
    _pin(key)
    if fault := fault_of(receipt):
        raise NotSent(f"The centre's receipt is not genuine: {fault}.")
    CentreReceipt.objects.get_or_create(sequence=receipt.sequence, defaults=_columns(receipt))


def _columns(receipt: CentreReceipt) -> dict[str, Any]:
    names = ("head", "node", "at", "centre_event", "key_id", "signature")
    return {name: getattr(receipt, name) for name in names}


def _pin(key: Ed25519PublicKey) -> None:
    """The first key that the centre shows is the one that counts; another one is filed by a person."""
    folder = _folder()
    if any(folder.glob("*.pem")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), write_whole(folder / f"{key_id(key)}.pem", mode=0o644, replace=False) as out:
        out.write(pem(key).encode())


def fault_of(receipt: CentreReceipt) -> str:
    """What is wrong with a receipt (no full stop); empty when it is genuine."""
    path = _folder() / f"{receipt.key_id}.pem"
    if not receipt.key_id.isalnum() or not path.exists():
        return f"it is signed by the key {receipt.key_id}, which is not in {_folder().name} of VAR_DIR"
    text = receipt_text(
        node=receipt.node,
        sequence=receipt.sequence,
        head=receipt.head,
        at=receipt.at,
        centre_event=receipt.centre_event,
    )
    try:
        signature = base64.b64decode(receipt.signature, validate=True)
    except ValueError:
        signature = b""
    return "" if is_signed(text, signature, read_public(path)) else "its signature does not fit"
