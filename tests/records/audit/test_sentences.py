"""Every kind of audit event that the product writes has a sentence of its own."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from inspection.models import BatchRun
from modelzoo.models import ModelVersion
from records.audit.sentences import kinds, sentence_of
from records.models import AuditEvent
from rollout.models import Challenger
from tests.test_layers import modules
from training.models import TrainingRun
from tuning.models import ReplayRun, RescoringRun

# Kinds that end in what became of something: what it may end in.
_ENDED: dict[str, set[str]] = {
    "training_run.": {TrainingRun.Status.FAILED, TrainingRun.Status.CANCELLED},
    "rescoring.": {RescoringRun.Status.FINISHED, RescoringRun.Status.FAILED, RescoringRun.Status.CANCELLED},
    "replay.": {ReplayRun.Status.FINISHED, ReplayRun.Status.FAILED},
    "batch.": {BatchRun.Status.FINISHED, BatchRun.Status.CANCELLED},
    "challenger.": {Challenger.Status.FINISHED, Challenger.Status.STOPPED, Challenger.Status.FAILED},
    "model_version.": {"promoted", *(set(ModelVersion.Stage.values) - {ModelVersion.Stage.PRODUCTION})},
}


def _kinds_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name not in ("audit", "keep_snapshot"):
            continue
        for keyword in call.keywords:
            if keyword.arg == "kind":
                yield from _values_of(keyword.value)


def _values_of(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.IfExp):
        yield from _values_of(node.body)
        yield from _values_of(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        prefix = node.values[0]
        assert isinstance(prefix, ast.Constant)
        yield from (f"{prefix.value!s}{end}" for end in _ENDED[str(prefix.value)])
    elif isinstance(node, ast.Name | ast.Attribute):
        constant = node.id if isinstance(node, ast.Name) else node.attr
        if constant.isupper():  # else it is a parameter, and its callers are looked at
            yield from _assigned(constant)


def _assigned(constant: str) -> Iterator[str]:
    for path in modules().values():
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == constant
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
                and "." in node.value.value
            ):
                yield node.value.value


def used_kinds() -> set[str]:
    return {kind for path in modules().values() for kind in _kinds_in(path)}


@pytest.mark.slow
def test_every_kind_in_the_code_has_a_sentence() -> None:
    used = used_kinds()
    assert len(used) > 45, "the walk over the code finds them"
    assert used - kinds() == set()


@pytest.mark.parametrize("kind", sorted(kinds()))
@pytest.mark.parametrize("text", ["null", "{}", "[]", '{"model_version": null, "reason": ["odd"]}'])
def test_an_event_that_says_little_still_has_a_sentence(kind: str, text: str) -> None:
    """Of another release, or damaged."""
    event = AuditEvent(
        sequence=1, at=timezone.now(), actor_name="olga", actor_id=1, kind=kind, object_type="thing",
        object_id="7", before="null", after=text,
    )  # fmt: skip
    assert str(sentence_of(event, {}))


def test_a_sentence_names_what_it_is_about_and_cuts_long_reasons() -> None:
    event = AuditEvent(
        sequence=1, at=timezone.now(), actor_name="olga", actor_id=1, kind="threshold.set",
        object_type="modelzoo.modelversion", object_id="7", before=json.dumps({"value": 15.132}),
        after=json.dumps({"value": 15.1324, "reason": "x" * 999}),
    )  # fmt: skip
    sentence = str(sentence_of(event, {("modelzoo.modelversion", "7"): "cell v1"}))
    assert sentence.startswith("olga set the threshold of cell v1 from 15.132 to 15.1324: xxx")
    assert len(sentence) < 300


def test_a_kept_image_that_is_judged_again_was_not_sent_again() -> None:
    event = AuditEvent(
        sequence=1, at=timezone.now(), actor_name="otto", actor_id=1, kind="inspection.repeated",
        object_type="inspection.inspectionrequest", object_id="7", before="null",
        after=json.dumps({"request": "6", "filename": "a.png"}),
    )  # fmt: skip
    said = "otto had the kept image a.png judged again, because an earlier request ended without a record"
    assert str(sentence_of(event, {})) == said


VERSIONS = {("modelzoo.modelversion", "2"): "cookie v1", ("modelzoo.modelversion", "3"): "cookie v2"}
CHECKS = {"size": "refuse", "aspect": "refuse", "colour": "refuse", "size_factor": 4.0, "aspect_percent": 5.0}


@pytest.mark.parametrize(
    ("kind", "before", "after", "sentence"),
    [
        (
            "rescoring.finished",
            None,
            {"changed": 1, "done": 22, "model_version": 3},
            "Re-scoring with cookie v2 finished: 1 of 22 records would get another verdict (requested by olga; "
            "records do not change)",
        ),
        (
            "rescoring.finished",
            None,
            {"changed": 0, "done": 1},
            "Re-scoring finished: 0 of 1 record would get another verdict (requested by olga; records do not change)",
        ),
        (
            "input_checks.set",
            CHECKS,
            CHECKS | {"size": "warn", "colour": "warn", "aspect_percent": 7.5, "category": "cookie", "reason": "a try"},
            "olga set the input checks of cookie (size and colour from refuse to warn; tolerance of shape (%) from 5 "
            "to 7.5): a try",
        ),
        (
            "inspections.exported",
            None,
            {"format": "csv", "dialect": "excel-de", "records": 3, "filters": {"lot": "L7", "model_version": 2}},
            "olga exported 3 inspection records as csv (excel-de): lot L7, model version cookie v1",
        ),
        (
            "inspections.exported",
            None,
            {"format": "xlsx", "filters": {}},
            "olga exported inspection records as xlsx: without a filter",
        ),
        (
            "model_version.promoted",
            {"stage": "archived"},
            {"stage": "production", "kind": "rollback", "instead_of": 3, "reason": "v1 is enough"},
            "olga rolled back cookie to v1 from v2: v1 is enough",
        ),
        (
            "model_version.promoted",
            {"stage": "candidate"},
            {"stage": "production", "kind": "promotion", "instead_of": 3, "reason": "better"},
            "olga promoted cookie v1 to production instead of cookie v2: better",
        ),
        (
            "model_version.promoted",
            {"stage": "candidate"},
            {"stage": "production", "reason": "of before this release"},
            "olga promoted cookie v1 to production: of before this release",
        ),
        (
            "inspection.recorded",
            None,
            {"model_version": 2, "threshold": 5, "score": 14.13, "outcome": "good", "filename": "a.jpg"},
            "olga had a.jpg judged by cookie v1: GOOD (score 14.13, threshold 16.93)",
        ),
        (
            "inspection.recorded",
            None,
            {"model_version": 2, "score": 14.13, "outcome": "good", "serial_number": "SN-1", "filename": "a.jpg"},
            "olga had SN-1 (a.jpg) judged by cookie v1: GOOD (score 14.13)",
        ),
        (
            "review.recorded",
            None,
            {"inspection": "67358c99-9052", "verdict": "good", "agrees": False, "serial_number": "SN-1"},
            "olga reviewed SN-1 as GOOD (overrules the model)",
        ),
    ],
)
def test_a_sentence_says_what_the_event_keeps(
    kind: str, before: dict[str, object] | None, after: dict[str, object], sentence: str
) -> None:
    event = AuditEvent(
        sequence=1, at=timezone.now(), actor_name="olga", actor_id=1, kind=kind, object_type="modelzoo.modelversion",
        object_id="2", before=json.dumps(before), after=json.dumps(after),
    )  # fmt: skip
    if not kind.startswith("model_version."):
        event.object_type = "thing"
    names = VERSIONS | {("modelzoo.threshold", "5"): "16.93 (revision 3 of cookie v1)"}
    assert str(sentence_of(event, names)) == sentence
