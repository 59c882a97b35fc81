"""What `train_distributed` refuses, and who does what; tests/modelzoo/detectors/test_distributed.py has the numbers."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from training.models import TrainingRun


def call(*words: str) -> None:
    call_command("train_distributed", *words, stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "rank", "match"),
    [
        (("--model", "autoencoder"), None, "torchrun"),
        (("--model", "padim"), "0", "padim is not trained by several processes"),
        (("--model", "autoencoder", "--queue"), "0", "--queue"),
        (("--model", "autoencoder", "--queue"), "1", "--queue"),
    ],
)
def test_what_cannot_be_shared_is_refused(words, rank, match, monkeypatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(CommandError, match=match):
        call("--dataset", "disc", *words)
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("lease_renewed_at_the_end")
def test_only_the_first_process_writes_anything(dataset_folder: Path, monkeypatch) -> None:
    from modelzoo.detectors.autoencoder import detector

    followed: list[str] = []
    monkeypatch.setattr(detector, "follow", followed.append)
    words = ("--model", "autoencoder", "--dataset", str(dataset_folder), "--device", "cpu", "--image-size", "64")
    monkeypatch.setenv("RANK", "1")
    call(*words)
    assert followed == ["cpu"]
    assert not TrainingRun.objects.exists()
    monkeypatch.setenv("RANK", "0")
    call(*words, "--epochs", "1")
    assert followed == ["cpu"]
    assert TrainingRun.objects.get().status == TrainingRun.Status.SUCCEEDED
