"""Deployments and the way their model is run: known names only, kept as asked and as chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError, connections, transaction
from django.db.migrations.executor import MigrationExecutor

from modelzoo.loading import scoring
from modelzoo.models import Deployment, ModelVersion
from modelzoo.services import activate, request_deployment

# With the records and their triggers, which name the table that is altered.
RECORDS = ("inspection", "0004_claims_by_worker")
BEFORE, AFTER = [RECORDS, ("modelzoo", "0003_preprocessing")], [RECORDS, ("modelzoo", "0004_runtime_and_precision")]


def test_the_choices_are_those_of_the_engines() -> None:
    from modelzoo.detectors.engines.base import AUTO, PRECISIONS
    from modelzoo.detectors.engines.selection import RUNTIMES

    assert Deployment.Runtime.values == [AUTO, *RUNTIMES]
    assert Deployment.Precision.values == [AUTO, *PRECISIONS]
    for name, known in (("RUNTIME", (AUTO, *RUNTIMES)), ("PRECISION", (AUTO, *PRECISIONS))):
        assert getattr(django_settings, name) in known


def test_what_is_not_asked_for_is_as_the_settings_say(version: ModelVersion, settings: Any) -> None:
    settings.RUNTIME, settings.PRECISION = "openvino", "bf16"
    asked = request_deployment(version=version, device="cpu", actor=None)
    assert asked.runtime_options == {"device": "cpu", "runtime": "openvino", "precision": "bf16"}
    asked = request_deployment(version=version, device="cpu", runtime="torch", precision="fp32", actor=None)
    assert asked.runtime_options == {"device": "cpu", "runtime": "torch", "precision": "fp32"}


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"runtime": "abacus"}, "deployment_runtime_is_known"),
        ({"precision": "fp8"}, "deployment_precision_is_known"),
        ({"precision_chosen": "auto"}, "deployment_has_the_precision_it_asked_for"),
        ({"precision": "fp32", "precision_chosen": "int8"}, "deployment_has_the_precision_it_asked_for"),
        ({"runtime_chosen": "auto"}, "deployment_has_the_runtime_it_asked_for"),
        ({"runtime": "torch", "runtime_chosen": "openvino"}, "deployment_has_the_runtime_it_asked_for"),
    ],
)
def test_the_database_knows_the_names(version: ModelVersion, fields: dict[str, str], constraint: str) -> None:
    asked = request_deployment(version=version, device="cpu", actor=None)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Deployment.objects.filter(pk=asked.pk).update(**fields)


def test_what_was_chosen_is_kept(version: ModelVersion) -> None:
    asked = request_deployment(version=version, device="cpu", precision="auto", actor=None)
    held = scoring.load_model(version, **asked.runtime_options)
    assert activate(deployment=asked, device=held.device, worker="test", choice=held.scorer.choice)
    asked.refresh_from_db()
    assert asked.precision_chosen == held.scorer.choice["precision"]
    assert asked.choice == held.scorer.choice


@pytest.mark.slow
def test_what_an_engine_builds_is_kept_for_the_next_worker(
    version: ModelVersion, settings: Any, tmp_path: Path
) -> None:
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    settings.VAR_DIR = tmp_path / "var"
    scoring.unload_models()
    scoring.load_model(version, runtime="onnxruntime", precision="fp32")
    [kept] = (settings.VAR_DIR / "engines" / version.artifact_sha256).iterdir()
    assert kept.name.startswith("fp32-")
    scoring.unload_models()


@pytest.fixture
def older(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """An empty database of its own."""
    if connections["default"].vendor != "sqlite":
        pytest.skip("the whole chain of migrations runs on PostgreSQL when its test database is made")
    with django_db_blocker.unblock():
        connections.databases["older"] = connections["default"].settings_dict | {
            "NAME": str(tmp_path / "older.sqlite3")
        }
        yield connections["older"]
        connections["older"].close()
        del connections["older"], connections.databases["older"]


@pytest.mark.slow
def test_older_deployments_stay_what_they_were(older: Any) -> None:
    def migrate(target: list[tuple[str, str]]) -> Any:
        MigrationExecutor(older).migrate(target)
        return MigrationExecutor(older).loader.project_state(target).apps

    apps = migrate(BEFORE)
    category = apps.get_model("modelzoo", "Category").objects.using("older").create(name="disc")
    version = (
        apps.get_model("modelzoo", "ModelVersion")
        .objects.using("older")
        .create(
            category=category,
            number=1,
            algorithm="padim",
            artifact="x",
            artifact_sha256="1" * 64,
            artifact_bytes=1,
            config={},
            dataset_name="disc",
            dataset_snapshot="0" * 64,
            seed=0,
            versions={},
            held_out_scores=[1.0],
        )
    )
    apps.get_model("modelzoo", "Deployment").objects.using("older").create(
        category=category, model_version=version, device_requested="cpu"
    )
    for _ in range(2):
        apps = migrate(AFTER)
        kept = apps.get_model("modelzoo", "Deployment").objects.using("older").get()
        assert (kept.runtime, kept.precision, kept.precision_chosen, kept.choice) == ("torch", "auto", "", {})
        apps = migrate(BEFORE)
        assert apps.get_model("modelzoo", "Deployment").objects.using("older").get().device_requested == "cpu"
        with older.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            assert ("inspection_judged_by_its_own_model",) in cursor.fetchall()
