"""Writes: verifying artifacts on the disk, with what was found in the audit log."""

from __future__ import annotations

from django.db import transaction

from common.rights import Right, require
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.models import ModelVersion
from records.audit.services import Actor, audit


def verify_artifact(*, version: ModelVersion, actor: Actor) -> str:
    """Compare every byte of a version's artifact with what was recorded; what is wrong, empty where nothing is.

    Raises `Forbidden`.
    """
    require(actor, Right.DEPLOY)
    fault = ""
    try:
        check_artifact(version)
    except ArtifactFault as error:
        fault = str(error)
    with transaction.atomic():
        audit(
            kind="model_version.verified",
            subject=version,
            actor=actor,
            after={"artifact_sha256": version.artifact_sha256, "fault": fault},
            changes_subject=False,
        )
    return fault
