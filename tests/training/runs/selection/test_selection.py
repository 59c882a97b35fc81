"""`auto` through service, command and API: one version with the options of the winner, and the evidence."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from modelzoo.detectors.artifacts import read_manifest
from modelzoo.detectors.errors import TrainingCancelled
from modelzoo.detectors.model_selection import candidates
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate
from modelzoo.detectors.model_selection.search import Search, Selection
from modelzoo.models import ModelVersion
from tests import parts
from training.datasets.imports import import_path
from training.models import Dataset, TrainingRun
from training.runs import services
from training.runs.execution.runner import execute
from training.runs.options import complete_options, threshold_rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]
SMALL = {"image_size": 64, "backbone": "efficientnet_lite0", "illumination": "none", "align": "none"}


@pytest.fixture(autouse=True)
def _few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "OPTION_VALUES", {"padim": {"sigma": (2.0,), "n_features": (20,)}, "patchcore": {}})
    monkeypatch.setattr(candidates, "SIZE_FACTORS", ())


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return import_path(parts.write_dataset(tmp_path / "disc", train=14, good=2, bad=2), actor=None)[0].dataset


def requested(dataset: Dataset, user: User | None = None, **values: Any) -> TrainingRun:
    return services.request_run(
        dataset=dataset,
        algorithm="auto",
        options=complete_options(algorithm="auto", values=SMALL | values, seed=1),
        calibration=threshold_rule(percentile=90),
        seed=1,
        actor=user,
    )


def worked(run: TrainingRun, **arguments: Any) -> ModelVersion:
    claim = services.claim_run(run_id=run.pk, worker="test")
    assert claim
    return execute(claim, **arguments)


def test_a_run_compares_and_trains_the_winner_as_any_other_version(dataset: Dataset, signed_in: Client) -> None:
    run = requested(dataset)
    version = worked(run)
    run.refresh_from_db()
    evidence = run.selection
    names = {row["name"] for row in evidence["candidates"]}
    assert {"padim", "patchcore", "padim, sigma 2"} <= names
    winner = evidence["winner"]
    assert version.algorithm == winner["algorithm"] in ("padim", "patchcore")
    for name, value in winner["options"].items():
        assert version.config[name] == value
    assert version.config["image_size"] == [64, 64]
    assert len(version.held_out_scores) == 14
    assert evidence["false_reject_rate"] == pytest.approx(0.1)
    manifest = read_manifest(version.artifact_path, version.artifact_sha256)
    kept = manifest["metadata"]["selection"]
    assert kept == {name: value for name, value in evidence.items() if name != "pictures"}
    assert manifest["algorithm"] == version.algorithm
    assert len(evidence["pictures"]) >= 4
    # The page and the report show it, the API has it without the pictures.
    for address in (f"/training/{run.pk}/", f"/training/{run.pk}/report/"):
        page = signed_in.get(address).content.decode()
        assert "Choice of the detector" in page
        assert evidence["pictures"][0]["photo"] in page
    assert signed_in.get(f"/api/training-runs/{run.pk}").json()["selection"] == kept


def test_a_version_that_was_chosen_can_be_extended(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Selection(Candidate("padim"), "it is the one that can be extended", 0.1)
    monkeypatch.setattr(Search, "run", lambda self: chosen)
    version = worked(requested(dataset, budget=0.1))
    assert version.algorithm == "padim"
    more = parts.write_dataset(tmp_path / "more" / "disc", train=16, good=0, bad=0)
    other = import_path(more, actor=None)[0].dataset
    run = services.request_extension(version=version, dataset=other, actor=None)
    assert (run.algorithm, run.options["image_size"]) == ("padim", [64, 64])
    worked(run)
    run.refresh_from_db()
    assert run.selection == {}


def test_too_few_good_images_to_compare_are_trained_on_as_by_default(tmp_path: Path) -> None:
    folder = parts.write_dataset(tmp_path / "few", train=6, good=0, bad=0)
    run = requested(import_path(folder, actor=None)[0].dataset)
    assert worked(run).algorithm == BASELINE.algorithm
    run.refresh_from_db()
    assert "There are 6 good images" in run.selection["because"]
    assert run.selection["candidates"] == []


def test_a_search_that_is_cancelled_leaves_nothing(dataset: Dataset, settings: Any) -> None:
    run = requested(dataset)

    def cancel(fraction: float, sentence: str) -> None:
        if "scoring" in sentence:
            raise TrainingCancelled("The run was cancelled.")

    with pytest.raises(TrainingCancelled):
        worked(run, echo=cancel)
    run.refresh_from_db()
    assert (run.status, run.selection) == ("cancelled", {})
    assert not ModelVersion.objects.exists()
    assert not [*Path(settings.MODEL_PATH).rglob("*.safetensors")]


def test_the_command_tells_what_was_chosen(dataset_folder: Path) -> None:
    out = io.StringIO()
    call_command(
        "train",
        model="auto",
        dataset=str(dataset_folder),
        budget=5.0,
        json=True,
        stdout=out,
        stderr=io.StringIO(),
        **SMALL,
    )
    told = json.loads(out.getvalue())
    assert told["algorithm"] == told["selection"]["winner"]["algorithm"]
    assert told["selection"]["budget_minutes"] == 5
    assert TrainingRun.objects.get().algorithm == "auto"


@pytest.mark.parametrize(
    ("options", "match"),
    [({"sigma": 4}, "sigma"), ({"budget": 0}, "budget"), ({"epochs": 3}, "epochs")],
)
def test_what_is_no_option_of_auto_is_refused(dataset: Dataset, options: dict[str, Any], match: str) -> None:
    with pytest.raises(Exception, match=match):
        complete_options(algorithm="auto", values=options, seed=0)


def test_padim_has_no_budget(dataset_folder: Path) -> None:
    with pytest.raises(CommandError, match="--budget"):
        call_command("train", model="padim", dataset=str(dataset_folder), budget=5.0, stdout=io.StringIO())


def test_the_api_takes_auto(signed_in: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"dataset": "disc", "algorithm": "auto", "options": {"budget": 3}}
    response = signed_in.post("/api/training-runs", body, content_type="application/json")
    assert response.status_code == 202, response.content
    document = response.json()
    assert (document["algorithm"], document["options"]["budget"], document["selection"]) == ("auto", 3, None)


def test_the_form_offers_auto_with_its_budget(signed_in: Client, dataset: Dataset) -> None:
    page = signed_in.get("/training/new/").content.decode()
    assert 'value="auto"' in page
    assert 'name="auto-budget"' in page


def test_seeds_decide_everything(dataset: Dataset) -> None:
    found = []
    for _ in range(2):
        run = requested(dataset)
        worked(run)
        run.refresh_from_db()
        found.append([(row["name"], row["detection"], row["auroc"]) for row in run.selection["candidates"]])
    assert found[0] == found[1]
