"""Files that are there whole, or not at all, also after a power cut."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.files.base import ContentFile

from records.audit.chain.checkpoints import Checkpoint, write_checkpoint
from records.audit.chain.signing import file_public_key, own_key
from records.storage.local import DurableFileSystemStorage

CHECKPOINT = Checkpoint(sequence=1, head="0" * 64, events=1, at="2026-11-25T03:00:00.000000+00:00", key_id="0" * 16)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: own_key(),
        lambda folder: file_public_key(Ed25519PrivateKey.generate().public_key()),
        lambda folder: write_checkpoint(CHECKPOINT, folder / "seal.json"),
        lambda folder: DurableFileSystemStorage(location=folder).save("a.png", ContentFile(b"x")),
    ],
)
def test_what_was_told_as_kept_survives_a_power_cut(
    write: Callable[[Path], Any], tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR, settings.AUDIT_SIGNING_KEY = tmp_path, tmp_path / "audit_key.pem"
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path)
    assert synced[:2] == [False, True], "the file, then its name in the folder"
