"""Commands as a person types them: one JSON document on stdout, sentences on stderr, exit codes that tell."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client

from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion, Threshold
from mvtec_site.management.commands.demo import places
from records.models import AuditEvent
from tests import badfiles, parts
from tests.environment import ROOT
from tests.triggers import without_triggers
from training.models import Dataset, Evaluation, TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]
SMALL = {"image_size": 64, "backbone": "efficientnet_lite0"}


def run(command: str, *words: Any, **options: Any) -> Any:
    out = io.StringIO()
    call_command(command, *map(str, words), json=True, stdout=out, stderr=io.StringIO(), **options)
    return json.loads(out.getvalue())


def fails(command: str, *words: Any, match: str, **options: Any) -> None:
    with pytest.raises(CommandError, match=match):
        call_command(command, *map(str, words), stdout=io.StringIO(), stderr=io.StringIO(), **options)


# ---------------------------------------------------------------- import_dataset
def test_importing_twice_changes_nothing_and_a_change_is_a_new_snapshot(dataset_folder: Path) -> None:
    [first] = run("import_dataset", dataset_folder)
    assert first["created"] is True
    assert first["images"] == {"test/good": 4, "test/scratch": 4, "train/good": 12}
    assert first["masks"] == 4
    events = AuditEvent.objects.count()
    [again] = run("import_dataset", dataset_folder)
    assert (again["created"], again["id"]) == (False, first["id"])
    assert AuditEvent.objects.count() == events
    (dataset_folder / "train/good/new.png").write_bytes(parts.png(77))
    [changed] = run("import_dataset", dataset_folder)
    assert changed["created"] is True
    assert changed["snapshot"] != first["snapshot"]
    assert Dataset.objects.get(pk=first["id"]).images.filter(split="train").count() == 12


def test_a_dry_run_says_what_would_be_imported_and_keeps_nothing(dataset_folder: Path) -> None:
    (dataset_folder / "train/good/broken.png").write_bytes(badfiles.truncated_png())
    [preview] = run("import_dataset", dataset_folder, dry_run=True)
    assert preview["layout"]["name"] == "mvtec-ad"
    rows = [(row["split"], row["defect_type"], row["count"], row["masks"]) for row in preview["images"]]
    assert rows == [("train", "good", 12, 0), ("test", "good", 4, 0), ("test", "scratch", 4, 4)]
    assert [(reason["code"], reason["count"]) for reason in preview["left_out"]] == [("truncated_image", 1)]
    assert not Dataset.objects.exists()
    [imported] = run("import_dataset", dataset_folder)
    assert Dataset.objects.get().report["preview"] == preview
    assert (imported["layout"], imported["snapshot"]) == (preview["layout"], preview["snapshot"])


def test_a_zip_and_its_folder_are_the_same_snapshot(dataset_folder: Path, tmp_path: Path) -> None:
    [folder] = run("import_dataset", dataset_folder)
    packed = tmp_path / "disc.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(dataset_folder.rglob("*.png")):
            archive.write(path, Path("disc") / path.relative_to(dataset_folder))
    [archived] = run("import_dataset", packed, name="disc")
    assert (archived["snapshot"], archived["created"]) == (folder["snapshot"], False)


@pytest.mark.parametrize(("encoding", "is_sure"), [("utf-8", True), ("cp437", False)])
def test_names_of_a_zip_that_does_not_say_their_encoding(
    dataset_folder: Path, tmp_path: Path, encoding: str, is_sure: bool
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(dataset_folder.rglob("*.png")):
            archive.write(path, Path("disc") / path.relative_to(dataset_folder))
    name = "groß__".encode(encoding).ljust(7, b"_")
    (tmp_path / "disc.zip").write_bytes(packed.getvalue().replace(b"scratch", name))
    [found] = run("import_dataset", tmp_path / "disc.zip")
    assert f"test/{name.decode(encoding)}" in found["images"]
    told = [warning for warning in found["warnings"] if "may be misread" in warning]
    assert len(told) == (0 if is_sure else 1)
    assert Dataset.objects.get().report["warnings"] == found["warnings"]


def test_what_is_skipped_is_told(dataset_folder: Path) -> None:
    (dataset_folder / "train/good/broken.png").write_bytes(badfiles.truncated_png())
    (dataset_folder / "test/good/notes.txt").write_text("hello")
    [found] = run("import_dataset", dataset_folder)
    assert {"train/good/broken.png"} <= {row["path"] for row in found["skipped"]}
    assert Dataset.objects.get().report["skipped_count"] == len(found["skipped"])


def test_a_root_with_many_categories(dataset_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("one", "two"):
        shutil.copytree(dataset_folder, root / name)
    (root / "two/train/good/extra.png").write_bytes(parts.png(55))
    assert [row["name"] for row in run("import_dataset", root)] == ["one", "two"]
    fails("import_dataset", root, name="both", match="fits one category")


def test_data_sets_that_cannot_be(dataset_folder: Path, tmp_path: Path) -> None:
    fails("import_dataset", tmp_path / "nothing", match="no file or folder")
    (tmp_path / "empty").mkdir()
    fails("import_dataset", tmp_path / "empty", match="was not recognised")
    fails("import_dataset", dataset_folder, name="!!!", match="cannot name")
    fails("import_dataset", dataset_folder, layout="of-ours", match="no layout 'of-ours'; there are: mvtec-ad")
    fails(
        "import_dataset", dataset_folder, layout="class-folders", match="was not recognised: expected a folder of good"
    )
    for image in sorted((dataset_folder / "train/good").iterdir())[1:]:
        image.unlink()
    fails("import_dataset", dataset_folder, match="good")
    shutil.rmtree(dataset_folder / "train")
    fails("import_dataset", dataset_folder, match="good")
    assert not Dataset.objects.exists()


# ---------------------------------------------------------------- train, evaluate, inspect
def test_train_evaluate_inspect(dataset_folder: Path) -> None:
    trained = run("train", model="padim", dataset=str(dataset_folder), percentile=95.0, seed=3, **SMALL)
    version = ModelVersion.objects.get(pk=trained["model_version"])
    assert (version.category.name, version.number, version.seed) == ("disc", 1, 3)
    assert trained["image"]["auroc"] == 1.0
    assert trained["pixel"]["auroc"] > 0.9
    assert trained["threshold_parameters"] == {"percentile": 95.0, "scores": "held-out good images", "n": 12}
    assert (version.artifact_path / "manifest.json").exists()
    assert (version.artifact_path / "model.safetensors").exists()
    run_row = TrainingRun.objects.get()
    assert (run_row.status, run_row.progress, run_row.model_version) == ("succeeded", 1.0, version)
    assert "fitted on 12 good images" in run_row.log
    assert run_row.versions["torch"]
    kinds = list(AuditEvent.objects.order_by("sequence").values_list("kind", flat=True))
    assert kinds == [
        "rows.attested",
        "dataset.imported",
        "training_run.requested",
        "model_version.registered",
        "threshold.set",
        "evaluation.recorded",
        "training_run.succeeded",
    ]

    figures = run("evaluate")
    for key in ("auroc", "aupr", "accuracy", "precision", "recall", "f1", "best_f1", "optimal_threshold", "trivial_f1"):
        assert figures["image"][key] == pytest.approx(trained["image"][key])
    assert set(figures["pixel"]) >= {"auroc", "iou"}
    assert set(figures["per_defect"]) == {"scratch"}
    assert figures["n"] == 8
    assert Evaluation.objects.count() == 2

    images = [dataset_folder / "test/good/000.png", dataset_folder / "test/scratch/000.png"]
    judged = run("inspect", *images, station="desk")["results"]
    assert [row["is_defective"] for row in judged] == [False, True]
    assert Inspection.objects.filter(source="command", station="desk", deployment=None).count() == 2
    (dataset_folder / "junk.png").write_bytes(b"junk")
    fails("inspect", dataset_folder / "junk.png", images[0], match="1 of 2")
    assert Inspection.objects.count() == 3
    fails("inspect", images[0], model_version="99", match="no model version 99")
    fails("evaluate", dataset="nothing", match="no data set")


def test_a_threshold_from_too_few_images_warns(dataset_folder: Path, signed_in: Client) -> None:
    for image in sorted((dataset_folder / "train/good").iterdir())[5:]:
        image.unlink()
    trained = run("train", model="padim", dataset=str(dataset_folder), percentile=90.0, **SMALL)
    [warning] = trained["warnings"]
    assert "5 held-out good images: about 23 % of good parts will be rejected, not 10 %" in warning
    run_row = TrainingRun.objects.get()
    assert signed_in.get(f"/api/training-runs/{run_row.pk}").json()["warnings"] == [warning]
    assert warning[:40] in signed_in.get(f"/training/{run_row.pk}/").content.decode()


@pytest.mark.parametrize("n", [2, 10])
def test_copies_of_one_image_make_no_threshold(dataset_folder: Path, n: int) -> None:
    images = sorted((dataset_folder / "train/good").iterdir())
    for image in images[n:]:
        image.unlink()
    for image in images[1:n]:
        image.write_bytes(images[0].read_bytes())
    fails("train", model="padim", dataset=str(dataset_folder), match="different images of good parts", **SMALL)
    assert not ModelVersion.objects.exists()


def test_the_autoencoder_with_the_original_systems_options(dataset_folder: Path) -> None:
    trained = run(
        "train",
        model="autoencoder",
        dataset=str(dataset_folder),
        epochs=2,
        batch_size=4,
        latent_dim=8,
        learning_rate=1e-3,
        image_size=64,
    )
    assert trained["algorithm"] == "autoencoder"
    assert trained["config"]["latent_dim"] == 8
    row = TrainingRun.objects.get()
    assert len(row.history) == 2
    assert Threshold.objects.get().value == trained["threshold"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model": "magic"}, "magic"),
        ({"model": "padim", "epochs": 3}, "padim has no --epochs"),
        ({"model": "autoencoder", "backbone": "resnet18"}, "autoencoder has no --backbone"),
        ({"model": "padim", "image_size": 3}, "image_size"),
        ({"model": "autoencoder", "learning_rate": -1.0}, "learning_rate"),
        ({"model": "padim", "percentile": 0.0}, "percentile"),
        ({"model": "padim", "false_reject_rate": 1.0}, "false-reject-rate"),
        ({"model": "padim", "option": ["floor"]}, "NAME=VALUE"),
        ({"model": "padim", "option": ["wings=2"]}, "wings"),
        ({"model": "padim", "option": ["seed=2"]}, "--seed"),
        ({"model": "padim", "region": [0.5, 0.0, 0.5, 1.0]}, "region"),
        ({"model": "padim", "device": "cuda"}, "cuda"),
        ({"model": "padim", "dataset": "nope"}, "no data set named"),
        ({"model": "padim", "dataset": "/nope/nope"}, "nothing at"),
    ],
)
def test_train_refuses_before_anything_is_written(dataset_folder: Path, options: dict[str, Any], match: str) -> None:
    fails("train", match=match, **{"dataset": str(dataset_folder)} | options)
    assert not TrainingRun.objects.exists()


def test_a_named_backbone_without_weights_says_how_to_provide_them(
    dataset_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fails("train", model="padim", dataset=str(dataset_folder), backbone="resnet18", match="BACKBONE_WEIGHTS_DIR")
    row = TrainingRun.objects.get()
    assert row.status == "failed"
    assert "BACKBONE_WEIGHTS_DIR" in row.error
    assert not ModelVersion.objects.exists()


def test_a_queued_run_waits_for_a_worker(dataset_folder: Path) -> None:
    answer = run("train", model="padim", dataset=str(dataset_folder), queue=True, **SMALL)
    assert (answer["status"], answer["published"]) == ("queued", False)


def test_what_a_workers_process_does_came_by_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody typed the command: a page, the API or a command asked for the run."""
    from common.context import current

    sources = []

    def execute(claim: Any, **options: Any) -> Any:
        sources.append(current().source)
        return ModelVersion(pk=1, number=1, category=Category(name="disc"), algorithm="padim")

    monkeypatch.setattr("training.runs.execution.runner.execute", execute)
    call_command("execute_run", 1, str(uuid.uuid4()), stdout=io.StringIO())
    assert sources == ["worker"]


def test_execute_run_refuses_a_claim_that_is_lost(dataset_folder: Path) -> None:
    run("train", model="padim", dataset=str(dataset_folder), queue=True, **SMALL)
    lost = "00000000-0000-0000-0000-000000000000"
    fails("execute_run", TrainingRun.objects.get().pk, lost, match="another worker")
    assert not ModelVersion.objects.exists()


# ---------------------------------------------------------------- the others
def test_create_token(user: User) -> None:
    out = io.StringIO()
    call_command("create_token", "olga", "press 4", stdout=out)
    assert out.getvalue().startswith("mvt_")
    fails("create_token", "olga", "press 4", match="already has a token")
    fails("create_token", "nobody", "x", match="no user")


def test_verify_audit(dataset_folder: Path) -> None:
    run("import_dataset", dataset_folder)
    report = run("verify_audit")
    assert (report["events"], report["broken_at"]) == (2, None), "the import, and the category that it made"
    with without_triggers("records_auditevent"):
        AuditEvent.objects.update(actor_name="somebody else")
    fails("verify_audit", match="broken at event 1")


def manage(var_dir: Path, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"VAR_DIR": str(var_dir), "DATABASE_URL": ""}
    return subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.sqlite_is_enough
@pytest.mark.slow
def test_ctrl_c_leaves_a_cancelled_run_and_no_artifact(tmp_path: Path) -> None:
    folder = parts.write_dataset(tmp_path / "disc", train=40)
    words = ("--model", "autoencoder", "--dataset", str(folder), "--image-size", "64", "--epochs", "10000")
    process = manage(tmp_path / "var", "train", *words)
    assert process.stderr
    log = process.stderr.readline()
    assert "%" in log, log + process.stderr.read()
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130, log + errors
    assert "Traceback" not in errors
    script = (
        "from training.models import TrainingRun as R; print(R.objects.get().status, R.objects.get().model_version)"
    )
    shown = manage(tmp_path / "var", "shell", "--verbosity", "0", "--command", script).communicate(timeout=180)[0]
    assert shown.split() == ["cancelled", "None"]
    assert not [path for path in (tmp_path / "var/artifacts").rglob("*") if path.is_file()]


def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_commands_named_in_the_docs_exist() -> None:
    """`run` and `demo` have tests of their own in tests/stack, `show_config` in tests/mvtec_site/test_settings.py."""
    names = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    assert {"run", "demo", "show_config", "import_dataset", "train", "evaluate", "inspect"} <= names


def test_what_was_decided_about_the_preprocessing_is_kept_with_the_version(dataset_folder: Path) -> None:
    trained = run(
        "train",
        model="padim",
        dataset=str(dataset_folder),
        align="none",
        region=[0.1, 0.1, 0.9, 1.0],
        option=["floor=1", 'layers=["layer2"]', "n_features=8"],
        false_reject_rate=0.2,
        **SMALL | {"image_size": [64, 96]},
    )
    assert trained["threshold_parameters"] == {"false_reject_rate": 0.2, "scores": "held-out good images", "n": 12}
    version = ModelVersion.objects.get()
    assert version.thresholds.get().method == "conformal"
    assert version.thresholds.get().value == sorted(version.held_out_scores)[10]  # the 11th of 12: ceil(13 * 0.8)
    assert (version.config["floor"], version.config["layers"]) == (1.0, ["layer2"])
    assert version.preprocessing == trained["preprocessing"]
    assert version.preprocessing["align"] == {"chosen": "none", "because": "it was requested"}
    assert version.preprocessing["illumination"]["because"]
    assert version.preprocessing["region"] == [0.1, 0.1, 0.9, 1.0]
    assert version.preprocessing["input_size"] == [64, 96]
    assert TrainingRun.objects.get().calibration == {"method": "conformal", "false_reject_rate": 0.2}


@pytest.mark.sqlite_is_enough
@pytest.mark.slow
def test_export(version: ModelVersion, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    document = run("export", output=tmp_path / "out")
    assert document["source"] == {
        "category": "disc",
        "model_version": version.pk,
        "number": 1,
        "artifact_sha256": version.artifact_sha256,
    }
    assert json.loads((tmp_path / "out" / "model.json").read_text())["precision"] == "fp32"
    assert (tmp_path / "out" / "model.onnx").stat().st_size == document["size_bytes"]
    before = sorted(tmp_path.rglob("*.onnx"))
    fails("export", output=tmp_path / "out", match="exists already")
    (tmp_path / "file").write_text("")
    fails("export", output=tmp_path / "file" / "below", match="could not be written")
    fails("export", output=tmp_path / "new", model_version="99", match="no model version 99")
    fails("export", output=tmp_path / "new", model_version="../x", match="must be an id")
    fails("export", "--output", tmp_path / "new", "--format", "pickle", match="invalid choice")
    fails("export", "--output", tmp_path / "new", "--precision", "fp8", match="invalid choice")
    fails("export", match="output")
    (version.artifact_path / "manifest.json").write_text("{}")
    fails("export", output=tmp_path / "new", match="was not exported: manifest.json")
    assert sorted(tmp_path.rglob("*.onnx")) == before
    assert not (tmp_path / "new").exists()


def test_export_without_the_library_names_it(
    version: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    fails("export", output=tmp_path / "new", match="pip install onnxscript")


@pytest.mark.slow
def test_commands_run_a_model_as_they_are_told(version: ModelVersion, dataset_folder: Path) -> None:
    pytest.importorskip("openvino")
    run("import_dataset", dataset_folder)
    plain = run("evaluate")
    assert plain["run_in"] == {"runtime": "torch", "precision": "fp32"}
    figures = run("evaluate", runtime="openvino", precision="fp32")
    assert figures["run_in"] == {"runtime": "openvino", "precision": "fp32"}
    assert figures["image"]["auroc"] == pytest.approx(plain["image"]["auroc"])
    image = dataset_folder / "test/scratch/000.png"
    [judged] = run("inspect", image, runtime="openvino", precision="fp32")["results"]
    assert judged["is_defective"] is True
    assert judged["timings"]["runtime"] == "openvino"
    for command, words in (("inspect", [image]), ("evaluate", [])):
        fails(command, *words, "--runtime", "abacus", match="invalid choice")
        fails(command, *words, "--precision", "fp8", match="invalid choice")
    fails("inspect", image, runtime="torch", precision="int8", match="1 of 1")
    fails("evaluate", runtime="torch", precision="int8", match="int8 is not to be had")


def test_what_a_killed_attempt_left_is_removed_and_a_registered_artifact_stays(version: ModelVersion) -> None:
    from training.runs.services import discard_artifacts

    root = version.artifact_path.parent
    for name in ("run-0-2", ".run-0-1.partial-ab12", "run-01-1"):
        (root / name).mkdir()
    discard_artifacts(run_id=0)
    assert {path.name for path in root.iterdir()} == {"run-0-1", "run-01-1"}


def test_the_demo_says_where_its_records_lie(settings: Any) -> None:
    database = connection.settings_dict["NAME"]
    is_sqlite = connection.vendor == "sqlite"
    here = "(database, images, maps, artifacts)" if is_sqlite else f"(images, maps, artifacts); database {database}"
    assert places() == f"{settings.VAR_DIR} {here}"
    settings.S3_BUCKET = "parts"
    assert places() == f"bucket parts (images, maps, artifacts); database {database}"
