"""Records from before there was a third outcome: they keep their verdict, and stay as unchangeable as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

BEFORE, AFTER = [("inspection", "0002_records_stay")], [("inspection", "0003_not_comparable")]
ALIAS = "older"
TABLE = "inspection_inspection"


@pytest.fixture
def older(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """An empty database of its own, of the engine that the suite runs on."""
    default = connections["default"]
    name = str(tmp_path / "older.sqlite3")
    with django_db_blocker.unblock():
        if default.vendor == "postgresql":
            name = f"older_{os.getpid()}"
            keeper = default.copy("keeper")
            keeper.set_autocommit(True)
            with keeper.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        connections.databases[ALIAS] = default.settings_dict | {"NAME": name}
        yield connections[ALIAS]
        connections[ALIAS].close()
        del connections[ALIAS], connections.databases[ALIAS]
        if default.vendor == "postgresql":
            with keeper.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name}")
            keeper.close()


def migrate(connection: Any, target: list[tuple[str, str]]) -> Any:
    """The models as they were at the target."""
    executor = MigrationExecutor(connection)
    executor.migrate(target)
    return MigrationExecutor(connection).loader.project_state(target).apps


def record(apps: Any, name: str, version: Any, **fields: Any) -> None:
    """A record of one image, written as the code of its time wrote it."""

    def make(app: str, model: str, **values: Any) -> Any:
        return apps.get_model(app, model).objects.using(ALIAS).create(**values)

    image = make("records", "Asset", sha256=name[0] * 64, size_bytes=1, content_type="image/png", width=8, height=8)
    request = make("inspection", "InspectionRequest", asset=image, model_version_id=version.pk, filename=name)
    make(
        "inspection",
        "Inspection",
        request=request,
        asset=image,
        model_version_id=version.pk,
        threshold_id=version.thresholds.using(ALIAS).get().pk,
        threshold_value=0.5,
        filename=name,
        timings={},
        created_at=timezone.now(),
        **fields,
    )


def refuses_changes(connection: Any) -> bool:
    """Both triggers stand: nothing is changed, nothing is judged by another model's threshold."""
    with connection.cursor() as cursor:
        columns = [column.name for column in connection.introspection.get_table_description(cursor, TABLE)]
    given = ", ".join("threshold_id + 1" if name == "threshold_id" else name for name in columns)
    for statement, message in (
        (f"UPDATE {TABLE} SET score = 0", "append-only"),
        (f"DELETE FROM {TABLE}", "append-only"),
        (f"INSERT INTO {TABLE} ({', '.join(columns)}) SELECT {given} FROM {TABLE}", "another model version"),
    ):
        with pytest.raises(DatabaseError, match=message), transaction.atomic(ALIAS), connection.cursor() as cursor:
            cursor.execute(statement)
    return True


@pytest.mark.slow
def test_older_records_keep_their_verdict_there_and_back(older: Any) -> None:
    apps = migrate(older, BEFORE)
    category = apps.get_model("modelzoo", "Category").objects.using(ALIAS).create(name="disc")
    version = (
        apps.get_model("modelzoo", "ModelVersion")
        .objects.using(ALIAS)
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
    apps.get_model("modelzoo", "Threshold").objects.using(ALIAS).create(
        model_version=version, revision=1, value=0.5, method="manual", reason="test"
    )
    kept = (
        apps.get_model("records", "Asset")
        .objects.using(ALIAS)
        .create(sha256="f" * 64, size_bytes=1, content_type="image/png", width=8, height=8)
    )
    for name, score in (("a.png", 0.25), ("b.png", 0.75)):
        record(apps, name, version, score=score, is_defective=score > 0.5, map=kept, map_maximum=score)
    verdicts = {"a.png": False, "b.png": True}

    apps = migrate(older, AFTER)
    records = apps.get_model("inspection", "Inspection").objects.using(ALIAS)
    assert dict(records.values_list("filename", "outcome")) == {"a.png": "good", "b.png": "defective"}
    assert set(records.values_list("reason", "explanation", "p_value", "regions", "region_count")) == {
        ("", "", None, None, None)
    }
    assert dict(records.values_list("filename", "score")) == {"a.png": 0.25, "b.png": 0.75}
    assert refuses_changes(older)

    apps = migrate(older, BEFORE)
    records = apps.get_model("inspection", "Inspection").objects.using(ALIAS)
    assert dict(records.values_list("filename", "is_defective")) == verdicts
    assert refuses_changes(older)

    apps = migrate(older, AFTER)
    record(apps, "c.png", version, outcome="not_comparable", reason="fog", explanation="It is foggy.")
    with pytest.raises(ValueError, match="1 inspections ended as not comparable"):
        migrate(older, BEFORE)
    assert apps.get_model("inspection", "Inspection").objects.using(ALIAS).count() == 3
    assert refuses_changes(older)
