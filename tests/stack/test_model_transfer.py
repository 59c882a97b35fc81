"""A version moves to an empty installation with a database and a VAR_DIR of its own, and judges there as here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stack.conftest import migrated, new_stack, trained

pytestmark = [pytest.mark.stack, pytest.mark.slow]
EXACT = ("score", "outcome", "threshold", "p_value", "regions")


def test_exported_and_imported_into_an_empty_installation_it_gives_the_same_scores(tmp_path: Path) -> None:
    package = tmp_path / "disc.zip"
    with new_stack(trained()) as here, new_stack(migrated()) as there:
        images = sorted(str(path) for path in Path(f"{trained().var_dir}-data").rglob("test/*/*.png"))
        assert len(images) == 8
        options = ("--runtime", "torch", "--precision", "fp32")
        before = here.json("inspect", "--model-version", "latest", *options, *images)
        told = here.json("export_model", "latest", "--output", str(package))
        refused = there.manage("import_model", str(package), check=False)
        assert refused.returncode == 1
        assert told["fingerprint"] in refused.stderr
        version = there.json("import_model", str(package), "--fingerprint", told["fingerprint"])
        assert (version["category"], version["stage"], version["dataset_id"]) == ("disc", "candidate", None)
        after = there.json("inspect", "--model-version", "latest", *options, *images)

        def exact(document: Any) -> list[dict[str, Any]]:
            return [{name: row[name] for name in EXACT} for row in document["results"]]

        assert exact(after) == exact(before)
        for stack in (here, there):
            assert "unbroken" in stack.manage("verify_audit", "--records").stderr
