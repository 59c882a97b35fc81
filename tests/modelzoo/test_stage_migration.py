"""Versions from before stages followed deployments: each gets the stage that its deployments tell of."""

from __future__ import annotations

from typing import Any

from tests.inspection.judging.test_outcome_migration import ALIAS, migrate, older

__all__ = ["older"]  # the fixture: an empty database of its own

BEFORE, AFTER = [("modelzoo", "0005_threshold_evidence")], [("modelzoo", "0006_stages_follow_deployments")]


def stages(apps: Any) -> dict[int, str]:
    versions = apps.get_model("modelzoo", "ModelVersion").objects.using(ALIAS)
    return dict(versions.order_by("number").values_list("number", "stage"))


def test_stages_follow_what_was_deployed(older: Any) -> None:
    apps = migrate(older, BEFORE)

    def make(model: str, **fields: Any) -> Any:
        return apps.get_model("modelzoo", model).objects.using(ALIAS).create(**fields)

    category = make("Category", name="disc")
    fields = {"category": category, "algorithm": "padim", "artifact_bytes": 1, "config": {}, "dataset_name": "disc"}
    fields |= {"dataset_snapshot": "0" * 64, "seed": 0, "versions": {}, "held_out_scores": []}
    versions = {
        number: make("ModelVersion", number=number, artifact=f"{number}", artifact_sha256=f"{number}" * 64, **fields)
        for number in (1, 2, 3, 4)
    }
    at = "2026-01-01T00:00:00Z"
    for number, status in ((1, "replaced"), (2, "replaced"), (3, "failed"), (2, "active")):
        activated = None if status == "failed" else at
        make(
            "Deployment",
            category=category,
            model_version=versions[number],
            device_requested="cpu",
            status=status,
            activated_at=activated,
        )
    after = migrate(older, AFTER)
    assert stages(after) == {1: "archived", 2: "production", 3: "candidate", 4: "candidate"}
    kept = after.get_model("modelzoo", "Deployment").objects.using(ALIAS)
    assert set(kept.values_list("kind", "reason", "threshold_value")) == {("load", "", None)}
    assert set(stages(migrate(older, BEFORE)).values()) == {"candidate"}
