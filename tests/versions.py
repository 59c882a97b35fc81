"""More model versions of a category, each with an artifact of its own that can be loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from django.conf import settings

from modelzoo.models import Deployment, ModelVersion
from modelzoo.services import activate, append_threshold, ensure_category, register_version, request_deployment

_SAME = ("algorithm", "artifact_bytes", "config", "backbone", "backbone_sha256", "dataset_name", "dataset_snapshot")


def another(version: ModelVersion, *, category: str = "") -> ModelVersion:
    """The same model under another number, or of another category: its manifest says so, which makes it another one."""
    of = ensure_category(name=category) if category else version.category
    number = ModelVersion.objects.count() + 1
    folder = f"{of.name}/run-{number}-1"
    target = Path(settings.MODEL_PATH) / folder
    target.mkdir(parents=True)
    (target / "model.safetensors").hardlink_to(version.artifact_path / "model.safetensors")
    manifest = json.loads((version.artifact_path / "manifest.json").read_text())
    manifest["metadata"]["number"] = number
    text = json.dumps(manifest, indent=2, sort_keys=True).encode()
    (target / "manifest.json").write_bytes(text)
    made = register_version(
        category=of,
        actor=None,
        artifact=folder,
        artifact_sha256=hashlib.sha256(text).hexdigest(),
        seed=number,
        versions={},
        held_out_scores=version.held_out_scores,
        **{name: getattr(version, name) for name in _SAME},
    )
    first = version.thresholds.get(revision=1)
    append_threshold(version=made, value=first.value, method=first.method, reason="test", actor=None)
    return made


def serve(version: ModelVersion, *, precision: str = "") -> Deployment:
    """Put it in force, as if a worker had loaded it."""
    deployment = request_deployment(version=version, device="cpu", precision=precision, actor=None)
    assert activate(deployment=deployment, device="cpu", worker="test")
    deployment.refresh_from_db()
    return deployment
