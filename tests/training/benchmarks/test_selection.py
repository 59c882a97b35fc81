"""`benchmark selection` and `auto` in `benchmark accuracy`, on made-up parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelzoo.detectors.model_selection import candidates
from modelzoo.models import ModelVersion
from tests import parts
from tests.mvtec_site.test_commands import fails, run
from training.models import TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_is_enough]


@pytest.fixture(autouse=True)
def _few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "OPTION_VALUES", {"padim": {"sigma": (2.0,)}, "patchcore": {}})
    monkeypatch.setattr(candidates, "SIZE_FACTORS", ())


def test_selection_compares_both_rankings_of_every_candidate(dataset_folder: Path) -> None:
    document = run(
        "benchmark", "selection", datasets=[str(dataset_folder)], image_size=64, backbone="efficientnet_lite0"
    )
    [one] = document["sets"]
    names = {row["candidate"] for row in one["candidates"]}
    assert {"padim", "patchcore", "padim, sigma 2"} <= names
    assert one["chosen"] in names
    assert one["loss_against_best"] >= 0
    best = max(row["real_auroc"] for row in one["candidates"])
    [chosen] = [row["real_auroc"] for row in one["candidates"] if row["candidate"] == one["chosen"]]
    assert one["loss_against_best"] == pytest.approx(best - chosen)
    assert set(document["kinds"]) == {"cut_paste", "perlin", "scar", "missing", "stain"}
    assert not ModelVersion.objects.exists()
    assert not TrainingRun.objects.exists()


def test_selection_needs_test_images_of_both_kinds(tmp_path: Path) -> None:
    folder = parts.write_dataset(tmp_path / "good", train=12, good=2, bad=0)
    fails("benchmark", "selection", datasets=[str(folder)], match="no good or no defective test images")


def test_auto_takes_part_in_the_accuracy_table(dataset_folder: Path) -> None:
    [row] = run(
        "benchmark",
        "accuracy",
        datasets=[str(dataset_folder)],
        detectors=["auto:budget=0.2,image_size=64"],
        backbone="efficientnet_lite0",
        seeds=1,
    )["rows"]
    assert row["figures"]["image AUROC"]["median"] > 0.9
    fails("benchmark", "accuracy", datasets=[str(dataset_folder)], detectors=["auto:wings=2"], match="wings")
