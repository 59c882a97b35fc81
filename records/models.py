"""Assets (bytes stored once, named by their content), the audit chain and its checkpoints."""

from __future__ import annotations

from records.assets.models import Asset, Discarded, RefusedImages, asset_name
from records.audit.models import AuditCheckpoint, AuditEvent, AuditVerification, canonical

__all__ = [
    "Asset",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditVerification",
    "Discarded",
    "RefusedImages",
    "asset_name",
    "canonical",
]
