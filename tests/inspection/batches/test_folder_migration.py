"""Setting back a system that has batches of folders: what was not read yet has failed, nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.inspection.judging.test_outcome_migration import ALIAS, migrate, older  # noqa: F401

BEFORE, AFTER = [("inspection", "0006_history_indexes")], [("inspection", "0007_batches_of_folders")]


@pytest.mark.slow
def test_there_and_back(older: Any, django_db_blocker: Any) -> None:  # noqa: F811
    with django_db_blocker.unblock():
        apps = migrate(older, AFTER)

        def make(app: str, model: str, /, **values: Any) -> Any:
            return apps.get_model(app, model).objects.using(ALIAS).create(**values)

        category = make("modelzoo", "Category", name="disc")
        version = make(
            "modelzoo",
            "ModelVersion",
            category=category,
            number=1,
            algorithm="padim",
            artifact="a",
            artifact_sha256="0" * 64,
            artifact_bytes=1,
            config={},
            dataset_name="d",
            dataset_snapshot="0" * 64,
            seed=0,
            versions={},
            held_out_scores=[],
        )
        deployment = make("modelzoo", "Deployment", category=category, model_version=version, device="cpu")
        batch = make("inspection", "BatchRun", deployment=deployment, name="b", folder="/parts")
        item: dict[str, Any] = {"batch": batch, "deployment": deployment, "model_version": version, "source": "api"}
        make("inspection", "InspectionRequest", **item, position=0, filename="a.png", path="a.png")
        with pytest.raises(IntegrityError, match="only_failed_and_unread"), transaction.atomic(using=ALIAS):
            make("inspection", "InspectionRequest", **item, position=1, filename="b.png")
        apps = migrate(older, BEFORE)
        (request,) = apps.get_model("inspection", "InspectionRequest").objects.using(ALIAS)
        assert (request.status, request.error_code) == ("failed", "file_unreadable")
        apps = migrate(older, AFTER)
        assert apps.get_model("inspection", "InspectionRequest").objects.using(ALIAS).get().path == ""
