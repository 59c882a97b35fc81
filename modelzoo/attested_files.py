"""Reads: whether the artifacts of versions are those that rows and events name."""

from __future__ import annotations

import json

from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.models import ModelVersion
from records.audit.chain.named_files import NamedFiles
from records.models import AuditEvent


def fault_of_version(version: ModelVersion) -> str:
    """The event of its registration carries the true hash, whatever the row says by now."""
    events = AuditEvent.objects.filter(object_type=ModelVersion._meta.label_lower, object_id=str(version.pk))
    registered = events.filter(kind="model_version.registered").order_by("sequence").first()
    if registered is not None:
        told = json.loads(registered.after)["artifact_sha256"]
        if told != version.artifact_sha256:
            return (
                f"the artifact of {version} is another one than was registered: its row says "
                f"{version.artifact_sha256[:12]}, and event {registered.sequence} says {told[:12]}"
            )
    try:
        check_artifact(version)
    except ArtifactFault as fault:
        return f"the artifact of {version} is not the one on record: {str(fault).rstrip('.')}"
    return ""


ARTIFACTS = NamedFiles(
    rows=lambda: ModelVersion.objects.select_related("category"), fault_of=fault_of_version, share=0.1
)
