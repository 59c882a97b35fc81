"""Data sets and runs in the administration: train on a data set, cancel a run, through the services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from jobs import broker
from records.models import AuditEvent
from training.models import Dataset, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(administrator: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(broker, "publish", lambda *sent: True)
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def dataset(dataset_folder: Path) -> Dataset:
    call_command("import_dataset", str(dataset_folder), verbosity=0)
    return Dataset.objects.get()


def test_a_training_is_started_from_a_data_set(ada: Client, dataset: Dataset) -> None:
    address = "/admin/training/dataset/"
    page = ada.get(f"{address}{dataset.pk}/change/").content.decode()
    assert "Train on this data set" in page
    assert f"{reverse('training-new')}?dataset={dataset.pk}" in page
    listed = ada.get(address).content.decode()
    assert reverse("dataset-thumbnail", args=[dataset.images.order_by("path").first().pk]) in listed  # type: ignore[union-attr]
    data: dict[str, Any] = {"action": "train", "_selected_action": [dataset.pk]}
    asked = ada.post(address, data).content.decode()
    assert 'name="algorithm"' in asked
    wrong = ada.post(address, data | {"confirmed": "1", "algorithm": "magic", "seed": "0"})
    assert wrong.status_code == 422
    assert not TrainingRun.objects.exists()
    done = ada.post(address, data | {"confirmed": "1", "algorithm": "patchcore", "seed": "7"}, follow=True)
    run = TrainingRun.objects.get()
    assert (run.dataset, run.algorithm, run.seed, run.status) == (dataset, "patchcore", 7, "queued")
    assert f'href="{reverse("run", args=[run.pk])}"' in done.content.decode(), "the message leads to what becomes of it"
    event = AuditEvent.objects.get(kind="training_run.requested")
    assert (event.source, event.actor_name) == ("admin", "ada")

    ended = ada.post("/admin/training/trainingrun/", {"action": "cancel", "_selected_action": [run.pk]}, follow=True)
    assert "was cancelled before it started" in ended.content.decode()
    again = ada.post("/admin/training/trainingrun/", {"action": "cancel", "_selected_action": [run.pk]}, follow=True)
    assert "has already cancelled" in again.content.decode()
