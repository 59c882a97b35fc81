"""No message for pages or programs says where things lie on the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from common.paths import without_server_paths


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{var}/import-x/ring.zip is damaged.", "ring.zip is damaged."),
        ("[Errno 28] No space left: '{var}/assets/ab/cd.png'", "[Errno 28] No space left: 'cd.png'"),
        ("The folder {var}/a b cannot be read.", "The folder a b cannot be read."),
        (
            "Load it with POST /api/load_model, see /docs/api.md.",
            "Load it with POST /api/load_model, see /docs/api.md.",
        ),
        ("Nothing lies at /mnt/line-3/images.", "Nothing lies at /mnt/line-3/images."),
        ("One in {var}.", "One in {name}."),
        ("{var}-of-somebody/a.png", "{var}-of-somebody/a.png"),
    ],
)
def test_folders_of_the_installation_are_left_out(settings: Any, tmp_path: Path, said: str, shown: str) -> None:
    settings.VAR_DIR = tmp_path / "var"
    words = {"var": settings.VAR_DIR, "name": "var"}
    assert without_server_paths(said.format(**words)) == shown.format(**words)


def test_callers_are_told_without_folders_and_the_command_line_with_them(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "var"
    error = UserError(f"{settings.VAR_DIR}/x/model.safetensors is damaged.")
    assert error.detail == "model.safetensors is damaged."
    assert str(settings.VAR_DIR) in str(error)
