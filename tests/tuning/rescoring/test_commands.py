"""`manage.py rescore` as a person types it."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from inspection.judging.services import PartContext, Submission, inspect_here
from jobs import broker
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from tests import parts
from tests.tasks import run_now
from tuning.models import RescoringRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside this process: what would be sent to the broker is done at once."""

    monkeypatch.setattr(broker, "publish", run_now)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())


@pytest.fixture
def past(version: ModelVersion) -> ModelVersion:
    for seed in range(3):
        inspect_here(
            data=parts.png(seed, defective=seed == 1),
            submission=Submission(
                filename=f"{seed}.png",
                source="command",
                actor=None,
                part=PartContext(station="east" if seed else "west", lot="L=7"),
            ),
            version=version,
        )
    return version


def rescore(*words: str) -> tuple[dict[str, Any], str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("rescore", "--reason", "test", "--json", *words, stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


def test_rescore_and_wait(past: ModelVersion, worker: None) -> None:
    document, said = rescore("--model-version", "latest", "--where", "station=east", "--where", "lot=L=7", "--wait")
    assert (document["status"], document["total"], document["done"], document["changed"]) == ("finished", 2, 2, 0)
    assert {(row["recorded"], row["rescored"], row["count"]) for row in document["summary"]["verdicts"]} >= {
        ("good", "good", 1),
        ("defective", "defective", 1),
    }
    assert document["filters"] | {"station": "east", "lot": "L=7"} == document["filters"]
    assert "finished: 2 scored, 0 not, 0 with another outcome" in said
    event = AuditEvent.objects.get(kind="rescoring.requested")
    assert (event.source, event.object_id) == ("command", document["rescoring_id"])


def test_rescore_leaves_it_to_the_workers(past: ModelVersion) -> None:
    document, _ = rescore("--model-version", str(past.pk), "--since", "2020-01-01", "--precision", "fp32")
    assert (document["status"], document["total"], document["precision"]) == ("queued", 3, "fp32")
    assert RescoringRun.objects.get().pk == uuid.UUID(document["rescoring_id"])


def test_a_run_that_fails_is_an_error(past: ModelVersion, worker: None) -> None:
    from modelzoo.loading import scoring

    (past.artifact_path / "manifest.json").unlink()
    scoring.unload_models()
    with pytest.raises(CommandError, match="cannot be loaded"):
        rescore("--model-version", "latest", "--wait")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--where", "station"], "NAME=VALUE"),
        (["--where", "colour=red"], "is not a filter"),
        (["--since", "yesterday"], "must be a day"),
        (["--where", "station=nowhere"], "nothing to re-score"),
    ],
)
def test_what_makes_no_sense_is_refused(past: ModelVersion, words: list[str], match: str) -> None:
    with pytest.raises(CommandError, match=match):
        rescore("--model-version", "latest", *words)
    assert not RescoringRun.objects.exists()
