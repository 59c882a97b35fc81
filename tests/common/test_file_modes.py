"""State is for the service's own account: new files, and those of an installation from before."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from common.files import tighten
from tests.environment import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_installation_that_others_could_read_is_closed_with_a_notice(tmp_path: Path) -> None:
    var = tmp_path / "var"
    (var / "logs").mkdir(parents=True)
    for name in ("db.sqlite3", "logs/web.log", "backup.tar"):
        (var / name).write_bytes(b"x")
        (var / name).chmod(0o644)
    for folder in (var, var / "logs"):
        folder.chmod(0o755)
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    outside.chmod(0o644)
    (var / "link").symlink_to(outside)
    environment = os.environ | {"VAR_DIR": str(var), "MODEL_PATH": str(var / "artifacts")}

    def show() -> str:
        command = [sys.executable, "manage.py", "show_config"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "other accounts of this machine could read" in show()
    assert {mode(path) for path in (var / "db.sqlite3", var / "logs/web.log", var / "backup.tar")} == {0o600}
    assert (mode(var), mode(var / "logs"), mode(var / "secret_key")) == (0o700, 0o700, 0o600)
    assert mode(outside) == 0o644, "what a link leads to is not ours"
    assert "other accounts" not in show(), "once"


def test_a_closed_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "file").write_bytes(b"x")
    (folder / "file").chmod(0o644)
    assert tighten(folder, tmp_path / "not there") == ([], [])
    assert mode(folder / "file") == 0o644


def test_every_process_makes_private_files_and_collected_styles_are_public(tmp_path: Path) -> None:
    environment = os.environ | {"VAR_DIR": str(tmp_path / "var"), "STATIC_ROOT": str(tmp_path / "static")}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    everything = list((tmp_path / "static").rglob("*"))
    assert any(path.suffix == ".gz" for path in everything)
    assert {mode(path) for path in everything if path.is_file()} == {0o644}
    assert {mode(path) for path in everything if path.is_dir()} == {0o755}
    assert mode(tmp_path / "var" / "secret_key") == 0o600
