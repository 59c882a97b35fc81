"""Artifacts on the disk: verified without torch, with the file that is not the recorded one."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from common.rights import Forbidden
from modelzoo.loading.artifact_check import ArtifactFault, check_folder
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.loading.verification import verify_artifact
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from tests.environment import ROOT
from tests.versions import another

pytestmark = pytest.mark.django_db


def test_a_whole_artifact_is_accepted(version: ModelVersion) -> None:
    assert [path.name for path in check_artifact(version)] == ["manifest.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
def test_any_changed_byte_is_found_and_its_file_named(version: ModelVersion, name: str) -> None:
    path = version.artifact_path / name
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 20)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ArtifactFault, match=f"^{name} was changed"):
            check_artifact(version)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ArtifactFault, match=name):
        check_artifact(version)
    path.unlink()
    with pytest.raises(ArtifactFault, match=f"^{name} cannot be read"):
        check_artifact(version)


@pytest.mark.parametrize("files", [[64, 64], [0], None, "x", {"model.safetensors": []}])
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, files: object) -> None:
    text = json.dumps({"files": files, "tensors": {}}).encode()
    (tmp_path / "manifest.json").write_bytes(text)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactFault, match="does not describe a model"):
        check_folder(tmp_path, hashlib.sha256(text).hexdigest())


def test_what_was_found_is_in_the_audit_log(version: ModelVersion, user: User, operator: User) -> None:
    assert verify_artifact(version=version, actor=user) == ""
    (version.artifact_path / "model.safetensors").unlink()
    assert "cannot be read" in verify_artifact(version=version, actor=user)
    faults = [json.loads(event.after)["fault"] for event in AuditEvent.objects.filter(kind="model_version.verified")]
    assert sorted(map(bool, faults)) == [False, True]
    with pytest.raises(Forbidden):
        verify_artifact(version=version, actor=operator)


def test_the_command_names_each_broken_version(version: ModelVersion) -> None:
    out, err, second = io.StringIO(), io.StringIO(), another(version)
    call_command("verify_artifacts", json=True, stdout=out, stderr=err)
    assert json.loads(out.getvalue())["verified"] == 2
    (second.artifact_path / "manifest.json").write_text("{}")
    call_command("verify_artifacts", str(version.pk), stderr=err)
    with pytest.raises(CommandError, match="1 of 2 artifacts"):
        call_command("verify_artifacts", stderr=err)
    assert f"{second}: manifest.json was changed" in err.getvalue()


def test_verifying_needs_no_torch() -> None:
    code = "import django; django.setup(); import sys, modelzoo.transfer.services; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
