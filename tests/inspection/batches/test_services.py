"""Many images as one job: slices, partial failure, and workers that die."""

from __future__ import annotations

import csv
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.batches import documents, gathering, selectors, worker
from inspection.batches import services as batches
from inspection.batches.reports import COLUMNS, batch_report
from inspection.judging import services
from inspection.judging.idempotency import KeyReused
from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.reviews.services import record_review
from jobs import broker
from jobs.engine import Claim
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from tests import parts
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


def judged_alone(version: ModelVersion, data: bytes) -> Inspection:
    return services.inspect_here(
        data=data,
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
    )


def make_batch(deployment: Any, files: list[tuple[str, bytes]]) -> BatchRun:
    return batches.request_batch(
        items=gathering.receive_items(files=files, actor=None),
        name="test",
        deployment=deployment,
        source="api",
        actor=None,
    )


def images(count: int) -> list[tuple[str, bytes]]:
    return [(f"{index}.png", parts.png(index, defective=index % 2 == 1)) for index in range(count)]


def work(batch: BatchRun, times: int = 50) -> None:
    for _ in range(times):
        worker.work_on_batch(batch_id=batch.pk, worker="test")
        batch.refresh_from_db()
        if batch.status == BatchRun.Status.FINISHED:
            return


def test_a_batch_judges_every_image_once_and_names_the_refused(deployment: Any) -> None:
    batch = make_batch(deployment, [*images(5), ("bad.png", b"garbage")])
    work(batch)
    document = documents.batch_document(batch)
    assert document["status"] == "finished"
    assert (document["total"], document["done"], document["failed"], document["progress"]) == (6, 5, 1, 1.0)
    assert [row["filename"] for row in document["results"]] == [*(f"{i}.png" for i in range(5)), "bad.png"]
    assert [row["is_defective"] for row in document["results"][:5]] == [False, True, False, True, False]
    assert document["results"][5]["code"] == "not_an_image"
    assert Inspection.objects.count() == 5
    assert verify_chain().broken_at is None


def test_a_batch_is_worked_on_in_slices(deployment: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(worker, "_SLICE_SECONDS", 0.0)
    batch = make_batch(deployment, images(5))
    seen = []
    for _ in range(4):
        worker.work_on_batch(batch_id=batch.pk, worker="test")
        seen.append(selectors.batch_counts(batch)["done"])
    assert seen == [2, 4, 5, 5]
    batch.refresh_from_db()
    assert batch.status == BatchRun.Status.FINISHED


def test_open_batches_share_the_time_after_which_single_images_pass(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    allotted = []
    in_slices = Claim.in_slices

    def note(self: Any, step: Any, *, seconds: float) -> bool:
        allotted.append(seconds)
        return in_slices(self, step, seconds=seconds)

    monkeypatch.setattr(Claim, "in_slices", note)
    for batch in [make_batch(deployment, images(2)), make_batch(deployment, images(2))]:
        work(batch)
    assert allotted == [1.0, 2.0]


def test_a_batch_in_work_is_not_taken_by_a_second_worker(deployment: Any) -> None:
    batch = make_batch(deployment, images(2))
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() + timedelta(seconds=60)
    )
    worker.work_on_batch(batch_id=batch.pk, worker="second")
    assert not Inspection.objects.exists()


def test_a_batch_whose_worker_died_is_finished_by_the_next(deployment: Any) -> None:
    batch = make_batch(deployment, images(4))
    dead = uuid.uuid4()
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=dead, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    InspectionRequest.objects.filter(batch=batch, position__in=[0, 1]).update(status="running", claim=dead, attempt=1)
    work(batch)
    assert Inspection.objects.count() == 4
    attempts = list(batch.items.order_by("position").values_list("attempt", flat=True))
    assert attempts == [2, 2, 1, 1]


def test_an_image_that_kills_workers_is_given_up_alone(deployment: Any, settings: Any) -> None:
    batch = make_batch(deployment, images(3))
    InspectionRequest.objects.filter(batch=batch, position=1).update(
        status="running", claim=uuid.uuid4(), attempt=settings.MAX_ATTEMPTS
    )
    work(batch)
    statuses = list(batch.items.order_by("position").values_list("status", "error_code"))
    assert statuses == [("done", ""), ("failed", "worker_died"), ("done", "")]


def test_an_image_that_fails_to_be_scored_fails_alone(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(deployment, images(4))
    poison = parts.png(2)
    real = scoring.score

    def fail_on_poison(held: Any, data: list[bytes]) -> Any:
        if poison in data:
            raise RuntimeError("poison")
        return real(held, data)

    monkeypatch.setattr(scoring, "score", fail_on_poison)
    work(batch)
    assert list(batch.items.order_by("position").values_list("status", flat=True)) == ["done", "done", "failed", "done"]


def test_in_a_batch_what_cannot_be_compared_leaves_the_others_alone(
    deployment: Any, blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = scoring.score, []

    def counted(held: scoring.LoadedModel, data: list[bytes]) -> Any:
        calls.append(len(data))
        return real(held, data)

    monkeypatch.setattr(scoring, "score", counted)
    alone = {
        name: judged_alone(deployment.model_version, parts.png(index, defective=index % 2 == 1)).score
        for index, (name, _) in enumerate(images(4))
    }
    calls.clear()
    batch = make_batch(deployment, [*images(2), ("blank.png", blank), *images(4)[2:], ("also.png", blank)])
    work(batch)
    assert calls == [6], "judged together, not one by one"
    document = documents.batch_document(batch)
    counts = ("total", "done", "failed", "good", "defective", "not_comparable")
    assert [document[name] for name in counts] == [6, 6, 0, 2, 2, 2]
    for row in document["results"]:
        if row["filename"] in alone:
            assert row["score"] == pytest.approx(alone[row["filename"]], rel=1e-4)
        else:
            assert (row["status"], row["outcome"], row["is_defective"]) == ("done", "not_comparable", None)
            assert row["reason"] == "no_part_found"
    event = AuditEvent.objects.get(kind="batch.finished")
    assert json.loads(event.after) == {"failed": 0, "not_comparable": 2, "cancelled": 0}


def test_a_batch_of_which_nothing_can_be_compared(deployment: Any, blank: bytes) -> None:
    batch = make_batch(deployment, [("a.png", blank), ("b.png", blank)])
    work(batch)
    document = documents.batch_document(batch)
    assert (document["status"], document["not_comparable"], document["failed"]) == ("finished", 2, 0)


def test_an_empty_batch_is_refused(deployment: Any) -> None:
    with pytest.raises(UserError, match="no images"):
        make_batch(deployment, [])
    assert not BatchRun.objects.exists()


def test_the_sweep_calls_for_stale_batches_only(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, stale = make_batch(deployment, images(1)), make_batch(deployment, images(1))
    BatchRun.objects.filter(pk=stale.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    called: list[object] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: called.extend(ids))
    worker.BATCHES.sweep()
    assert called == [stale.pk]
    assert fresh.pk not in called
    worker.BATCHES.sweep()
    assert called == [stale.pk], "published again at once"


# ---------------------------------------------------------------- folders
@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Inside an allowed root: three images in two folders, and what is no image by its name."""
    settings.BATCH_ROOTS = (tmp_path / "parts",)
    made = tmp_path / "parts" / "lot7"
    (made / "b").mkdir(parents=True)
    for index, name in enumerate(["1.png", "b/1.png", "2.PNG"]):
        (made / name).write_bytes(parts.png(index, defective=index == 1))
    (made / "notes.txt").write_text("no image")
    (made / ".hidden.png").write_bytes(b"")
    return made


def batch_of_folder(deployment: Any, folder: Path, **options: Any) -> BatchRun:
    return batches.request_batch(
        **{
            "items": gathering.items_in(folder)[0],
            "name": "lot7",
            "deployment": deployment,
            "source": "api",
            "actor": None,
        },
        folder=folder,
        **options,
    )


def test_a_folder_is_read_by_the_worker_only(deployment: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)  # nothing is opened
        batch = batch_of_folder(deployment, folder, part=services.PartContext(lot="7"))
    assert list(batch.items.order_by("position").values_list("path", "asset")) == [
        ("1.png", None),
        ("2.PNG", None),
        ("b/1.png", None),
    ]
    monkeypatch.setattr(scoring, "open_pixels", None)  # what upload validation has decoded is not decoded again
    work(batch)
    document = documents.batch_document(batch)
    assert [(row["path"], row["filename"], row["outcome"], row["lot"]) for row in document["results"]] == [
        ("1.png", "1.png", "good", "7"),
        ("2.PNG", "2.PNG", "good", "7"),
        ("b/1.png", "1.png", "defective", "7"),
    ]
    assert Inspection.objects.get(request__path="b/1.png").asset.read() == (folder / "b" / "1.png").read_bytes()


def test_a_file_that_cannot_be_read_fails_alone(deployment: Any, folder: Path, settings: Any) -> None:
    (folder / "3.png").write_bytes(b"junk")
    (folder / "4.png").write_bytes(b"x" * 5000)
    (folder / "5.png").symlink_to(folder / "1.png")
    secret = folder.parent.parent / "secret.png"
    secret.write_bytes(parts.png(9))
    (folder / "6.png").symlink_to(secret)
    batch = batch_of_folder(deployment, folder)
    (folder / "2.PNG").unlink()
    settings.MAX_FILE_SIZE = 40_000
    (folder / "4.png").write_bytes(b"x" * 40_001)
    work(batch)
    ended = {item.path: (item.status, item.error_code) for item in batch.items.all()}
    assert ended == {
        "1.png": ("done", ""),
        "2.PNG": ("failed", "file_unreadable"),
        "3.png": ("failed", "not_an_image"),
        "4.png": ("failed", "file_too_large"),
        "5.png": ("done", ""),
        "6.png": ("failed", "file_unreadable"),
        "b/1.png": ("done", ""),
    }
    summary = documents.batch_summary(batch)
    assert summary["failed_by_code"] == {"file_too_large": 1, "file_unreadable": 2, "not_an_image": 1}
    assert AuditEvent.objects.filter(kind="inspection.failed").count() == 4


def test_a_name_that_cannot_be_kept_fails_alone(deployment: Any, folder: Path) -> None:
    items = [gathering._item_at(path) for path in ("1.png", "x" * 1000 + ".png", "a\udcff.png", "a\n.png")]
    batch = batches.request_batch(items=items, name="n", deployment=deployment, source="api", actor=None, folder=folder)
    work(batch)
    assert list(batch.items.order_by("position").values_list("status", flat=True)) == ["done"] + ["failed"] * 3


def test_a_folder_that_is_not_allowed_any_more_is_not_read(deployment: Any, folder: Path, settings: Any) -> None:
    batch = batch_of_folder(deployment, folder)
    settings.BATCH_ROOTS = (folder.parent.parent / "other",)
    settings.BATCH_ROOTS[0].mkdir()
    work(batch)
    assert set(batch.items.values_list("status", "error_code")) == {("failed", "file_unreadable")}


def test_a_batch_of_a_folder_whose_worker_died_is_finished_by_the_next(deployment: Any, folder: Path) -> None:
    batch = batch_of_folder(deployment, folder)
    dead = uuid.uuid4()
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=dead, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    batch.items.filter(position=0).update(status="running", claim=dead, attempt=1)
    work(batch)
    assert Inspection.objects.count() == 3
    assert list(batch.items.order_by("position").values_list("attempt", flat=True)) == [2, 1, 1]


def test_large_images_are_not_all_held_in_memory(
    deployment: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_MAX_PIXEL_BYTES", parts.SIDE * parts.SIDE * 3)
    held: list[int] = []
    real = worker.judge_claimed

    def counted(requests: Any, **options: Any) -> None:
        held.append(len(options["pixels"]))
        real(requests, **options)

    monkeypatch.setattr(worker, "judge_claimed", counted)
    batch = batch_of_folder(deployment, folder)
    work(batch)
    assert held == [1]
    assert selectors.batch_counts(batch)["done"] == 3


# ---------------------------------------------------------------- calling off
def test_a_waiting_batch_is_called_off_at_once(deployment: Any, user: User) -> None:
    batch = make_batch(deployment, [*images(2), ("bad.png", b"junk")])
    ended = batches.cancel_batch(batch_id=batch.pk, actor=user)
    assert (ended.status, ended.finished_at is not None) == ("cancelled", True)
    counts = selectors.batch_counts(batch)
    assert (counts["cancelled"], counts["failed"], counts["done"]) == (2, 1, 0)
    work(batch, times=1)
    assert not Inspection.objects.exists()
    event = AuditEvent.objects.get(kind="batch.cancelled")
    assert (event.actor_name, json.loads(event.after)["cancelled"]) == ("olga", 2)
    with pytest.raises(Conflict, match="already cancelled"):
        batches.cancel_batch(batch_id=batch.pk, actor=user)


def test_a_batch_in_work_ends_after_its_slice(
    deployment: Any, user: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(worker, "_SLICE_SECONDS", 600.0)
    batch = make_batch(deployment, images(5))
    real = worker.judge_claimed
    asked: list[BatchRun] = []

    def called_off_meanwhile(*words: Any, **options: Any) -> None:
        if not asked:
            asked.append(batches.cancel_batch(batch_id=batch.pk, actor=user))
            batches.cancel_batch(batch_id=batch.pk, actor=user)  # twice is once
        real(*words, **options)

    monkeypatch.setattr(worker, "judge_claimed", called_off_meanwhile)
    worker.work_on_batch(batch_id=batch.pk, worker="test")
    assert (asked[0].status, asked[0].cancel_requested) == ("running", True)
    batch.refresh_from_db()
    assert batch.status == "cancelled"
    counts = selectors.batch_counts(batch)
    assert (counts["done"], counts["cancelled"]) == (2, 3)
    kinds = AuditEvent.objects.filter(kind__startswith="batch.").order_by("sequence").values_list("kind", flat=True)
    assert list(kinds) == ["batch.requested", "batch.cancel_requested", "batch.cancelled"]
    assert verify_chain().broken_at is None


def test_called_off_in_the_last_slice_it_is_finished(
    deployment: Any, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch(deployment, images(2))
    real = worker.judge_claimed

    def called_off_meanwhile(*words: Any, **options: Any) -> None:
        batches.cancel_batch(batch_id=batch.pk, actor=user)
        real(*words, **options)

    monkeypatch.setattr(worker, "judge_claimed", called_off_meanwhile)
    work(batch)
    batch.refresh_from_db()
    assert batch.status == "finished"
    with pytest.raises(Conflict):
        batches.cancel_batch(batch_id=batch.pk, actor=user)


def test_a_batch_whose_worker_died_is_called_off_at_once(deployment: Any, user: User) -> None:
    batch = make_batch(deployment, images(2))
    BatchRun.objects.filter(pk=batch.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
    batch.items.filter(position=0).update(status="running", claim=uuid.uuid4(), attempt=1)
    assert batches.cancel_batch(batch_id=batch.pk, actor=user).status == "cancelled"
    assert selectors.batch_counts(batch)["cancelled"] == 2


def test_who_may_not_inspect_may_not_call_off(deployment: Any, auditor: User) -> None:
    batch = make_batch(deployment, images(1))
    with pytest.raises(Forbidden):
        batches.cancel_batch(batch_id=batch.pk, actor=auditor)
    batch.refresh_from_db()
    assert not batch.cancel_requested


# ---------------------------------------------------------------- keys
def test_the_same_key_is_the_same_batch(deployment: Any, folder: Path, user: User, operator: User) -> None:
    def ask(key: str, request_fingerprint: str = "f" * 64, actor: User = user) -> BatchRun:
        return batches.request_batch(
            items=gathering.items_in(folder)[0],
            name="lot7",
            deployment=deployment,
            source="api",
            actor=actor,
            folder=folder,
            idempotency_key=key,
            request_fingerprint=request_fingerprint,
        )

    first = ask("one")
    assert (ask("one").pk, ask("one").replayed, first.replayed) == (first.pk, True, False)
    assert ask("one", actor=operator).pk != first.pk, "a key belongs to its caller"
    assert ask("two").pk != first.pk
    with pytest.raises(KeyReused):
        ask("one", request_fingerprint="e" * 64)
    assert BatchRun.objects.count() == 3
    assert first.items.count() == 3


# ---------------------------------------------------------------- reports
def report(batch: BatchRun, form: str) -> str:
    return b"".join(batch_report(batch, form=form).content).decode()


@pytest.fixture
def reported(deployment: Any) -> BatchRun:
    """Worked on but for its last image, which comes with a name that a spreadsheet would run."""
    batch = make_batch(deployment, [*images(2), ("<b>&.png", b"junk"), ("=1+1.png", parts.png(7))])
    batch.items.filter(position=3).update(status="cancelled")
    work(batch)
    batch.items.filter(position=3).update(status="queued")
    BatchRun.objects.filter(pk=batch.pk).update(status="running", finished_at=None, name="lot <7>")
    batch.refresh_from_db()
    return batch


def finished(batch: BatchRun) -> BatchRun:
    work(batch)
    return batch


@pytest.mark.parametrize("end", [None, finished])
def test_a_report_says_whether_it_is_complete(reported: BatchRun, end: Callable[[BatchRun], BatchRun] | None) -> None:
    if end:
        end(reported)
    document = json.loads(report(reported, "json"))
    assert document["complete"] is bool(end)
    assert document["results"] == json.loads(json.dumps(documents.batch_document(reported)["results"]))
    assert (document["total"], document["done"], document["failed_by_code"]) == (
        4,
        3 if end else 2,
        {"not_an_image": 1},
    )
    assert document["scores"]["minimum"] <= document["scores"]["median"] <= document["scores"]["maximum"]
    assert document["duration_seconds"] > 0
    for form in ("csv", "json", "html"):
        name = batch_report(reported, form=form).filename
        assert name == f"batch-{reported.pk}{'' if end else '-partial'}.{form}"
    assert ("This report is partial" in report(reported, "html")) is not bool(end)


def test_a_report_for_spreadsheets(reported: BatchRun) -> None:
    rows = list(csv.DictReader(io.StringIO(report(reported, "csv").removeprefix("\ufeff"))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["status"] for row in rows] == ["done", "done", "failed", "queued"]
    assert [row["outcome"] for row in rows] == ["good", "defective", "", ""]
    assert rows[2]["code"] == "not_an_image"
    assert rows[3]["filename"] == "'=1+1.png"
    assert float(rows[0]["score"]) == Inspection.objects.get(request__position=0).score


def test_a_report_for_spreadsheets_that_write_decimal_commas(reported: BatchRun) -> None:
    written = b"".join(batch_report(reported, form="csv", dialect="excel-de").content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(written), delimiter=";"))
    assert float(rows[0]["score"].replace(",", ".")) == Inspection.objects.get(request__position=0).score
    assert rows[3]["filename"] == "'=1+1.png"
    with pytest.raises(UserError, match="dialect"):
        batch_report(reported, form="html", dialect="excel-de")


def test_a_report_says_what_people_said_and_what_was_odd_about_a_picture(reported: BatchRun, user: User) -> None:
    good = Inspection.objects.get(request__position=0)
    finding = {"check": "aspect", "code": "other_aspect", "explanation": "It is <wide>.", "refused": False}
    with without_triggers(Inspection._meta.db_table):
        Inspection.objects.filter(pk=good.pk).update(input_findings=[finding])
    record_review(inspection=good, verdict="defective", actor=user)
    first, second, *_ = csv.DictReader(io.StringIO(report(reported, "csv").removeprefix("\ufeff")))
    assert (first["outcome"], first["review_verdict"], first["reviewer"]) == ("good", "defective", user.username)
    assert first["warnings"] == "other_aspect: It is <wide>."
    assert {second[name] for name in ("review_verdict", "reviewer", "warnings")} == {""}
    page = report(reported, "html")
    assert f'<td class="defective">defect<br><small>{user.username}, ' in page
    assert "<td>It is &lt;wide&gt;. <a" in page


def test_a_report_to_print_needs_nothing_else(reported: BatchRun) -> None:
    page = report(reported, "html")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert "src=" not in page
    assert "Batch lot &lt;7&gt;" in page
    assert "&lt;b&gt;&amp;.png" in page
    assert page.count('<td class="defective">defect</td>') == 1


def test_a_report_names_the_model_as_people_do(reported: BatchRun) -> None:
    version = reported.deployment.model_version
    ModelVersion.objects.filter(pk=version.pk).update(number=7)
    reported = selectors.find_batch(reported.pk)
    assert "disc v7 (padim)" in report(reported, "html")
    named = {"category": "disc", "model_version": version.pk, "version_number": 7, "algorithm": "padim"}
    document = json.loads(report(reported, "json"))
    assert {name: document[name] for name in named} == named
    assert {name: document["results"][0][name] for name in named} == named
    row = next(csv.DictReader(io.StringIO(report(reported, "csv").removeprefix("\ufeff"))))
    assert {name: row[name] for name in named} == {name: str(value) for name, value in named.items()}


def test_a_report_says_what_stands_beside_what_the_model_said(
    deployment: Any, user: User, administrator: User, blank: bytes
) -> None:
    batch = make_batch(deployment, [*images(3), ("blank.png", blank)])
    work(batch)
    [_, bad, confirmed, _] = Inspection.objects.filter(request__batch=batch).order_by("request__position")
    record_review(inspection=bad, verdict="defective", actor=administrator)
    overruled = record_review(inspection=bad, verdict="good", actor=user)
    record_review(inspection=confirmed, verdict="good", actor=user)
    batch = selectors.find_batch(batch.pk)
    document = json.loads(report(batch, "json"))
    counts = ("good", "defective", "reviewed", "overruled", "stands_good", "stands_defective", "stands_not_comparable")
    assert [document[name] for name in counts] == [2, 1, 2, 1, 3, 0, 1]
    shown = document["results"][1]
    at = overruled.created_at.isoformat()
    assert (shown["outcome"], shown["standing_verdict"], shown["reviewed_at"]) == ("defective", "good", at)
    assert (document["results"][0]["standing_verdict"], document["results"][0]["reviewed_at"]) == ("good", None)
    rows = list(csv.DictReader(io.StringIO(report(batch, "csv").removeprefix("\ufeff"))))
    names = ("outcome", "standing_verdict", "reviewer", "reviewed_at", "overruled")
    assert [rows[1][name] for name in names] == ["defective", "good", "olga", at, "yes"]
    assert [rows[0][name] for name in names] == ["good", "good", "", "", ""]
    page = report(batch, "html")
    said = f"{overruled.created_at:%Y-%m-%d %H:%M:%S} UTC"
    assert f'<td class="">defect</td><td class="good">good<br><small>olga, {said}</small></td>' in page
    assert '<th scope="row">defect</th><td class="number">1</td><td class="number">0</td>' in page
    assert '<th scope="row">overruled, of the reviewed</th><td class="number">1</td>' in page


def test_a_report_in_another_form_is_refused(reported: BatchRun) -> None:
    with pytest.raises(UserError, match="csv, json, html"):
        batch_report(reported, form="pdf")


def test_nothing_is_kept_of_a_zip_that_proves_to_be_damaged(deployment: Any, user: User) -> None:
    """Damage in its last file is found when the first ones could have been kept already."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in images(6):
            archive.writestr(name, data)
        last = archive.infolist()[-1].header_offset
    content = bytearray(packed.getvalue())
    content[last + 100] ^= 0xFF
    with pytest.raises(UserError, match="Nothing was kept"):
        gathering.gather(archive=SimpleUploadedFile("a.zip", bytes(content)), actor=user)
    assert not Asset.objects.exists()
