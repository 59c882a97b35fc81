"""Reads: signatures and the rules about them as documents."""

from __future__ import annotations

from typing import Any

from modelzoo.models import Category
from modelzoo.signatures.selectors import Act, newest_rules, signature_of


def rules_document(category: Category) -> dict[str, Any]:
    """Which acts need a signature in a category, who said so, and when."""
    row = newest_rules(category.pk)
    return {
        "category": category.name,
        **{act: bool(row and getattr(row, act)) for act in Act},
        "reason": row.reason if row else "",
        "author": row.author.get_username() if row and row.author else None,
        "created_at": row.created_at.isoformat() if row else None,
    }


def signature_document(row: Any) -> dict[str, Any] | None:
    """Of a row of `signed_rows`."""
    signed = signature_of(row)
    if signed is None:
        return None
    return {
        "printed_name": signed.printed_name,
        "username": signed.username,
        "meaning": signed.meaning,
        "signed_at": signed.signed_at.isoformat(),
        "signed_sha256": signed.sha256,
        "audit_event": signed.event,
        "audit_event_hash": signed.event_hash,
    }
