"""Folders in every layout, as a person has them: imported by the command, trained on, judged."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from inspection.models import Inspection
from tests.layouts import EXAMPLES
from training.models import Dataset

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.sqlite_is_enough,
    pytest.mark.usefixtures("lease_renewed_at_the_end"),
]
_FAST = ("piped", "lookout_for_vision")  # masks of other names in BMP; labels and masks of a manifest


def run(command: str, *words: Any, **options: Any) -> Any:
    out = io.StringIO()
    call_command(command, *map(str, words), json=True, stdout=out, stderr=io.StringIO(), **options)
    return json.loads(out.getvalue())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _FAST else pytest.mark.slow) for name in EXAMPLES]
)
def test_an_example_is_imported_trained_on_and_judged(name: str, tmp_path: Path, settings: Any) -> None:
    settings.ALLOWED_EXTENSIONS = ["png", "jpg", "jpeg", "bmp"]
    example = EXAMPLES[name]
    folder = example.write(tmp_path / name.replace("_", "-"))
    [preview] = run("import_dataset", folder, dry_run=True)
    assert not Dataset.objects.exists()
    [imported] = run("import_dataset", folder)
    assert (imported["images"], imported["masks"]) == (example.images, example.masks)
    assert (imported["layout"], imported["snapshot"]) == (preview["layout"], preview["snapshot"])
    dataset = Dataset.objects.get()
    assert dataset.report["preview"] == preview
    trained = run("train", model="padim", dataset=dataset.name, backbone="efficientnet_lite0", image_size=64)
    has_test = any(split.startswith("test") for split in example.images)
    assert (trained.get("image", {}).get("auroc") is not None) == has_test
    if example.masks:
        assert trained["pixel"]["auroc"] is not None
    picture = dataset.images.order_by("path").last()
    assert picture is not None
    path = next(path for path in sorted(folder.rglob("*")) if path.as_posix().endswith(picture.path))
    [judged] = run("inspect", path, category=dataset.category.name)["results"]
    assert judged["score"] is not None
    assert Inspection.objects.count() == 1
