"""A training keeps what its good images look like, so that the line's can be compared with them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image

from modelzoo.evaluation.image_statistics import record_statistics
from modelzoo.models import ModelVersion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]


@pytest.mark.sqlite_is_enough
def test_a_version_keeps_the_statistics_of_its_good_images(dataset_folder: Path) -> None:
    call_command(
        "train",
        dataset=str(dataset_folder),
        model="padim",
        image_size=64,
        backbone="efficientnet_lite0",
        option=["n_features=12"],
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )
    kept = ModelVersion.objects.get().image_statistics
    assert kept is not None
    files = sorted((dataset_folder / "train" / "good").iterdir())
    expected = [record_statistics(np.asarray(Image.open(path))) for path in files]
    for name in ("brightness", "focus", "noise", "direction"):
        assert sorted(kept[name]) == pytest.approx(sorted(row[name] for row in expected), abs=1e-5)
    assert len(kept["likeness_distance"]) == len(kept["alignment_residual"]) == len(files)
    assert min(kept["likeness_distance"]) > 0
