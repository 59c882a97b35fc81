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

from records.assets.storage import DurableFileSystemStorage, write_whole
from records.audit.chain.checkpoints import Checkpoint, write_checkpoint
from records.audit.chain.signing import file_public_key, own_key

CHECKPOINT = Checkpoint(sequence=1, head="0" * 64, events=1, at="2026-11-25T03:00:00.000000+00:00", key_id="0" * 16)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with write_whole(target, mode=0o600) as out:
        out.write(b"first")
        assert not target.exists()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"first", 0o600)
    with write_whole(target) as out:
        out.write(b"second")
    assert target.read_bytes() == b"second"
    with pytest.raises(FileExistsError), write_whole(target, replace=False) as out:
        out.write(b"third")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"second", [target])


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(TypeError), write_whole(tmp_path / "file") as out:
        out.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"kept")]


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
