"""State that only the service's own account may read: new files by the umask, those from before by `tighten`.

Needs no Django: the settings call it before anything is made.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

UMASK = 0o077
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(*folders: Path) -> None:
    """From here on this process and its children make files for their own account alone; folders of an installation
    that others could enter are closed, and stderr says so once."""
    os.umask(UMASK)
    closed, open_still = tighten(*folders)
    if closed:
        first = ", ".join(str(path) for path in closed[:3]) + (" and others" if len(closed) > 3 else "")
        sys.stderr.write(
            f"Notice: other accounts of this machine could read {first} ({len(closed)} in all). They can no longer. "
            "Whoever had an account here may have read keys and sessions: docs/operations.md, Who may read the state.\n"
        )
    for path in open_still:
        sys.stderr.write(
            f"Warning: other accounts of this machine can read {path}, which belongs to another account or a file "
            f"system without permissions. Correct it: chmod -R go= {path}\n"
        )


def tighten(*folders: Path) -> tuple[list[Path], list[Path]]:
    """Take group and others off these folders and all that lies directly in them or in their `logs`.

    What lies deeper is behind a closed folder then. Only a folder that is open is looked into, so a start costs a
    `stat` for each. What was closed, and the folders that could not be.
    """
    closed: list[Path] = []
    failed: list[Path] = []
    for folder in folders:
        if not folder.is_dir() or not _is_open(folder):
            continue
        # From the inside out: what is interrupted is begun again at the next start.
        inside = [*_entries(folder / "logs"), *_entries(folder)]
        closed += [path for path in inside if _is_open(path) and _close(path)]
        if _close(folder):
            closed.append(folder)
        else:
            failed.append(folder)
    return closed, failed


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.is_symlink())
    except OSError:
        return []


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:  # gone meanwhile
        return False


def _close(path: Path) -> bool:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
    except OSError:
        return False
    return not _is_open(path)
