"""Reads: approvals and promotion gates as documents, for the API and the pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from modelzoo.lifecycle.models import Approval
from modelzoo.lifecycle.selectors import approval_in_force, gate_results, gates_in_force, newest_gates
from modelzoo.models import Category, ModelVersion
from modelzoo.signatures.documents import signature_document


def gates_document(category: Category) -> dict[str, Any]:
    """What a version of a category must show, who said so, and when."""
    row = newest_gates(category.pk)
    return {
        "category": category.name,
        **asdict(gates_in_force(category.pk)),
        "reason": row.reason if row else "",
        "author": row.author.get_username() if row and row.author else None,
        "created_at": row.created_at.isoformat() if row else None,
    }


def release_document(version: ModelVersion) -> dict[str, Any]:
    """Whether a version may go into production: its approval, and what it shows at each gate."""
    approval = approval_in_force(version.pk)
    results = gate_results(version)
    return {
        "model_version": version.pk,
        "stage": version.stage,
        "approval": approval_document(approval) if approval else None,
        "gates": [asdict(result) for result in results],
        "passed": all(result.passed for result in results),
    }


def approval_document(approval: Approval) -> dict[str, Any]:
    return {
        "reason": approval.reason,
        "author": approval.author.get_username() if approval.author else None,
        "created_at": approval.created_at.isoformat(),
        "signature": signature_document(approval),
    }
