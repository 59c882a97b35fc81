"""Training again from snapshot and configuration: the same model bit for bit, and what is said where it is not."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError

from modelzoo.models import ModelVersion
from records.models import AuditEvent
from training.models import DatasetImage, TrainingRun
from training.runs.execution import reproduction
from training.runs.execution.reproduction import Reproduction

pytestmark = pytest.mark.django_db
SMALL: dict[str, dict[str, Any]] = {
    "padim": {"backbone": "efficientnet_lite0", "image_size": 64, "option": ["n_features=20"]},
    "patchcore": {"backbone": "efficientnet_lite0", "image_size": 64},
    "autoencoder": {"image_size": 64, "epochs": 2, "latent_dim": 16},
}


@pytest.fixture(autouse=True)
def _lease(lease_renewed_at_the_end: None) -> None:
    pass


def trained(folder: Path, model: str) -> TrainingRun:
    call_command("train", model=model, dataset=str(folder), json=True, stdout=io.StringIO(), **SMALL[model])
    return TrainingRun.objects.get()


def reproduced(run: TrainingRun) -> dict[str, Any]:
    out = io.StringIO()
    call_command("reproduce", str(run.pk), json=True, stdout=out, stderr=io.StringIO())
    document: dict[str, Any] = json.loads(out.getvalue())
    return document


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
def test_every_detector_comes_out_bit_for_bit(dataset_folder: Path, model: str) -> None:
    run = trained(dataset_folder, model)
    before = (ModelVersion.objects.count(), TrainingRun.objects.count())
    outcome = reproduced(run)
    assert outcome["identical"], outcome
    assert outcome["tensors"] > 0
    assert {name.partition(".")[0] for name in outcome["other_tensors"]} <= {"input_check"}, "of no score"
    assert outcome["equal_images"] == outcome["images"] > 8
    assert (outcome["deviation"], outcome["differences"]) == (0, [])
    event = AuditEvent.objects.get(kind="training_run.reproduced")
    assert json.loads(event.after)["identical"]
    assert (ModelVersion.objects.count(), TrainingRun.objects.count()) == before, "nothing else is kept"


def test_with_another_number_of_threads_it_is_within_the_tolerance(dataset_folder: Path) -> None:
    run = trained(dataset_folder, "padim")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        outcome = reproduced(run)
    finally:
        torch.set_num_threads(threads)
    assert outcome["reproduced"]
    assert "processor" in " ".join(outcome["differences"])


def test_another_seed_is_another_model(dataset_folder: Path) -> None:
    run = trained(dataset_folder, "padim")
    TrainingRun.objects.filter(pk=run.pk).update(options=run.options | {"image_size": 96})
    with pytest.raises(CommandError, match="not reproduced"):
        call_command("reproduce", str(run.pk), stderr=io.StringIO())
    assert not json.loads(AuditEvent.objects.get(kind="training_run.reproduced").after)["reproduced"]


def test_a_changed_image_and_a_run_without_a_version_are_refused(dataset_folder: Path) -> None:
    run = trained(dataset_folder, "padim")
    image = DatasetImage.objects.filter(dataset=run.dataset, split="train").select_related("asset")[0]
    path = Path(image.asset.file.path)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(CommandError, match="is not the one of the snapshot"):
        call_command("reproduce", str(run.pk), stderr=io.StringIO())
    TrainingRun.objects.filter(pk=run.pk).update(status="failed", model_version=None)
    with pytest.raises(CommandError, match="has no version: it failed"):
        call_command("reproduce", str(run.pk), stderr=io.StringIO())
    with pytest.raises(CommandError, match="There is no training run 99"):
        call_command("reproduce", "99", stderr=io.StringIO())
    assert not AuditEvent.objects.filter(kind="training_run.reproduced").exists()


def _outcome(**fields: Any) -> Reproduction:
    usual: dict[str, Any] = {
        "tensors": 3,
        "other_tensors": ["mean"],
        "images": 10,
        "equal_images": 4,
        "deviation": 1e-4,
        "tolerance": 1e-3,
    }
    return Reproduction(**(usual | {"differences": ["torch 1 then, 2 now"]} | fields))


def test_what_is_said_of_it() -> None:
    assert _outcome(other_tensors=[], equal_images=10, deviation=0.0, differences=[]).is_reproduced
    assert _outcome().is_reproduced
    assert "6 of 10 scores differ, by at most 0.0001" in _outcome().sentence
    assert not _outcome(deviation=1e-2).is_reproduced
    assert _outcome(deviation=1e-2).sentence.startswith("beyond the tolerance")
    same = _outcome(differences=[])
    assert not same.is_reproduced, "on the same machine nothing but the same is good enough"
    assert "not identical, though" in same.sentence


def test_a_share_of_what_is_no_number() -> None:
    nan = float("nan")
    assert reproduction._deviation(nan, nan) == 0
    assert reproduction._deviation(nan, 1.0) == float("inf")
    assert reproduction._deviation(2.0, 1.0) == 0.5
