"""The audit chain: one event after another, and nobody can change the past unnoticed."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from common.context import acting
from common.errors import Conflict, UserError
from inspection.judging import services
from inspection.models import Inspection
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion, Threshold
from modelzoo.services import set_threshold
from records.audit import selectors
from records.audit.chain.audited_rows import verify_records
from records.audit.chain.checkpoints import Checkpoint, checkpoint_of, read_checkpoints, write_checkpoint
from records.audit.chain.event_keys import event_keys
from records.audit.chain.hashes import GENESIS, authenticator_of
from records.audit.chain.signing import KeyUnusable, own_key, pem, public_key_folder
from records.audit.selectors import changes_of, verify_chain, verify_latest
from records.audit.services import attest_rows, audit, make_checkpoint
from records.models import AuditCheckpoint, AuditEvent
from records.tasks import checkpoint as checkpoint_task
from tests import parts
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_key(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"


def write(count: int, actor: User | None = None) -> None:
    for number in range(count):
        with transaction.atomic():
            audit(kind="test.done", subject=("test", str(number)), actor=actor, after={"n": number, "x": 0.1})


def test_events_form_a_chain(user: User) -> None:
    with acting("api", request_id="r-1", address="10.0.0.1"):
        write(3, user)
    first, second, third = AuditEvent.objects.order_by("sequence")
    assert (first.sequence, second.sequence, third.sequence) == (1, 2, 3)
    assert first.previous_hash == GENESIS
    assert second.previous_hash == first.hash
    assert (second.source, second.request_id, second.address, second.actor_name) == ("api", "r-1", "10.0.0.1", "olga")
    report = verify_chain()
    assert (report.events, report.head, report.broken_at) == (3, third.hash, None)


def test_an_event_outside_of_a_transaction_is_refused_by_design() -> None:
    connection_was = connection.in_atomic_block
    connection.in_atomic_block = False
    try:
        with pytest.raises(RuntimeError, match="transaction"):
            audit(kind="x", subject=("x", ""), actor=None)
    finally:
        connection.in_atomic_block = connection_was


@pytest.mark.parametrize(
    "statement", ["UPDATE records_auditevent SET kind = 'other'", "DELETE FROM records_auditevent"]
)
def test_the_database_refuses_changes(statement: str) -> None:
    write(2)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify_chain().events == 2


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("UPDATE records_auditevent SET after = '{}' WHERE sequence = 3", 3),
        ("UPDATE records_auditevent SET actor_name = 'nobody' WHERE sequence = 2", 2),
        ("DELETE FROM records_auditevent WHERE sequence = 4", 4),
    ],
)
def test_what_is_changed_behind_the_application_is_found(change: str, broken_at: int) -> None:
    write(5)
    with without_triggers("records_auditevent"), connection.cursor() as cursor:
        cursor.execute(change)
    assert verify_chain().broken_at == broken_at


def test_an_inserted_event_is_found() -> None:
    write(3)
    last = AuditEvent.objects.get(sequence=3)
    forged = AuditEvent(
        sequence=4, at=last.at, actor_name="x", kind="x", object_type="x", object_id="", before="null", after="null",
        source="web", request_id="", address="", previous_hash=last.previous_hash[::-1],
    )  # fmt: skip
    forged.hash = forged.computed_hash()
    with pytest.raises(DatabaseError, match="without an authenticator"), transaction.atomic():
        forged.save(force_insert=True)
    with without_triggers("records_auditevent"):
        forged.save(force_insert=True)
    assert verify_chain().broken_at == 4


def test_reading_an_event_back_changes_nothing_of_its_hash() -> None:
    with transaction.atomic():
        audit(
            kind="x", subject=("x", "1"), actor=None, after={"float": 1e22, "small": 1e-7, "text": "Größe", "one": 1.0}
        )
    event = AuditEvent.objects.get()
    assert event.computed_hash() == event.hash


# ---------------------------------------------------------------- checkpoints
def rewrite(sequence: int, **change: str) -> None:
    """Change one event and make all from there on fit again, as somebody with the database and the keys could."""
    with without_triggers("records_auditevent"):
        previous = ""
        for event in AuditEvent.objects.filter(sequence__gte=sequence).order_by("sequence"):
            said = change if event.sequence == sequence else {"previous_hash": previous}
            for name, value in said.items():
                setattr(event, name, value)
            event.hash = previous = event.computed_hash()
            known = event_keys()
            assert known
            assert event.key_id
            authenticator = authenticator_of(event.hash, known.keys[event.key_id])
            AuditEvent.objects.filter(pk=event.pk).update(**said, hash=event.hash, authenticator=authenticator)


def remove_from(sequence: int) -> None:
    with without_triggers("records_auditevent"):
        AuditEvent.objects.filter(sequence__gte=sequence).delete()


def seal() -> Checkpoint:
    row, made = make_checkpoint(actor=None)
    assert made
    return checkpoint_of(row)


def test_a_checkpoint_seals_the_event_that_reports_it() -> None:
    write(2)
    row, made = make_checkpoint(actor=None)
    event = AuditEvent.objects.get(sequence=3)
    assert made
    assert (row.sequence, row.head, row.events) == (3, event.hash, 3)
    assert (event.kind, event.object_id) == ("audit.checkpoint_made", "3")
    report = verify_chain()
    assert (report.broken_at, report.checkpoints) == (None, 1)


def test_nothing_new_is_sealed_once() -> None:
    write(1)
    first, _ = make_checkpoint(actor=None)
    assert make_checkpoint(actor=None) == (first, False)
    write(1)
    second, made = make_checkpoint(actor=None)
    assert made
    assert second.sequence == first.sequence + 2


def test_an_empty_chain_can_be_sealed() -> None:
    assert seal().sequence == 1
    assert verify_chain().broken_at is None


def test_the_key_is_made_once_and_nobody_else_reads_it(settings: Any) -> None:
    seal()
    path = Path(settings.AUDIT_SIGNING_KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    write(1)
    seal()
    assert path.read_text() == text
    assert [file.read_text() for file in public_key_folder().iterdir()] == [pem(own_key().public_key())]


def test_earlier_checkpoints_outlive_their_key(settings: Any) -> None:
    seal()
    Path(settings.AUDIT_SIGNING_KEY).unlink()
    write(1)
    seal()
    report = verify_chain()
    assert (report.broken_at, report.checkpoints) == (None, 2)
    assert len(set(AuditCheckpoint.objects.values_list("key_id", flat=True))) == 2


@pytest.mark.parametrize("kind", ["absent", "nonsense", "rsa"])
def test_a_key_that_cannot_be_used_is_refused(settings: Any, tmp_path: Path, kind: str) -> None:
    settings.AUDIT_SIGNING_KEY = path = tmp_path / "given.pem"
    if kind == "nonsense":
        path.write_text("no key")
    if kind == "rsa":
        key = generate_private_key(public_exponent=65537, key_size=2048)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match="AUDIT_SIGNING_KEY"):
        make_checkpoint(actor=None)
    assert not AuditEvent.objects.exists()


def test_a_rewritten_chain_is_found_by_the_checkpoint_kept_here() -> None:
    write(2)
    seal()
    write(2)
    later = seal()
    rewrite(4, actor_name="nobody")
    assert AuditEvent.objects.get(sequence=4).actor_name == "nobody"
    report = verify_chain()
    assert report.broken_at == later.sequence
    assert "between 4 and 6" in report.reason


def test_a_rewritten_chain_with_rewritten_checkpoints_is_found_by_one_kept_elsewhere(tmp_path: Path) -> None:
    write(2)
    elsewhere = replace(seal(), origin="safe")
    write(1)
    rewrite(2, after='{"n":99}')
    with without_triggers("records_auditcheckpoint"):
        AuditCheckpoint.objects.all().delete()
        event = AuditEvent.objects.get(sequence=3)
        AuditCheckpoint(sequence=3, head=event.hash, events=3, at=event.at, key_id=elsewhere.key_id).save()
    report = verify_chain()
    assert report.broken_at == 3
    assert "no valid signature" in report.reason
    report = verify_chain(elsewhere=[elsewhere])
    assert report.broken_at == 3


def test_removed_newest_events_are_found(tmp_path: Path) -> None:
    write(4)
    elsewhere = replace(seal(), origin="safe")
    remove_from(3)
    report = verify_chain()
    assert (report.broken_at, report.events) == (3, 2)
    with without_triggers("records_auditcheckpoint"):
        AuditCheckpoint.objects.all().delete()
    assert verify_chain().broken_at is None, "nothing here can tell any more"
    report = verify_chain(elsewhere=[elsewhere])
    assert report.broken_at == 3
    assert "removed" in report.reason
    assert "safe" in report.reason


def test_a_removed_checkpoint_is_found() -> None:
    write(1)
    seal()
    write(1)
    with without_triggers("records_auditcheckpoint"):
        AuditCheckpoint.objects.all().delete()
    report = verify_chain()
    assert report.broken_at == 2
    assert "checkpoint" in report.reason


@pytest.mark.parametrize("verify", [verify_chain, lambda: verify_latest(100)])
def test_what_is_written_while_the_chain_is_verified_is_no_break(monkeypatch: pytest.MonkeyPatch, verify: Any) -> None:
    write(2)
    seal()
    original = selectors.check_checkpoints

    def meanwhile(*given: Any) -> Any:
        write(1)
        seal()
        return original(*given)

    monkeypatch.setattr(selectors, "check_checkpoints", meanwhile)
    report = verify()
    assert (report.events, report.checkpoints, report.broken_at) == (3, 1, None), report.reason


def test_no_checkpoint_is_made_of_a_chain_that_lost_its_end() -> None:
    write(2)
    seal()
    remove_from(2)
    with pytest.raises(Conflict, match="no longer contains event 3"):
        make_checkpoint(actor=None)


def test_a_checkpoint_of_a_stranger_is_not_believed(tmp_path: Path) -> None:
    write(1)
    checkpoint = seal()
    key = Ed25519PrivateKey.generate()
    (tmp_path / "stranger.pem").write_text(pem(key.public_key()))
    forged = replace(checkpoint, head="0" * 64)
    assert "no valid signature" in verify_chain(elsewhere=[forged]).reason
    unknown = replace(checkpoint, key_id="0" * 16)
    assert "not known here" in verify_chain(elsewhere=[unknown]).reason
    assert verify_chain(elsewhere=[checkpoint], public_keys=[tmp_path / "stranger.pem"]).broken_at is None


def test_a_checkpoint_file_says_what_was_signed(tmp_path: Path) -> None:
    checkpoint = seal()
    write_checkpoint(checkpoint, tmp_path / "deep" / checkpoint.filename)
    [back] = read_checkpoints([tmp_path / "deep" / checkpoint.filename])
    assert back.signed_text() == checkpoint.signed_text()
    assert back.signed_text().decode().splitlines()[:2] == ["mvtec-audit-checkpoint-2", "sequence: 1"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "mvtec-audit-checkpoint-1"}', '{"format": 3}'])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(UserError, match="is not a checkpoint"):
        read_checkpoints([tmp_path / "file.json"])


def test_the_scheduled_checkpoint_is_written_elsewhere_too(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path / "elsewhere")
    checkpoint_task()
    checkpoint_task()
    [row] = AuditCheckpoint.objects.all()
    [file] = (tmp_path / "elsewhere").iterdir()
    assert file.name == checkpoint_of(row).filename
    assert AuditEvent.objects.get().source == "worker"


@pytest.mark.parametrize("table", ["records_auditcheckpoint"])
def test_checkpoints_stay(table: str) -> None:
    seal()
    for statement in (f"UPDATE {table} SET events = 1", f"DELETE FROM {table}"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


# ---------------------------------------------------------------- rows and what their events say
@pytest.fixture
def reviewed(version: ModelVersion, user: User) -> Inspection:
    part = services.PartContext(lot="L7", station="east")
    with transaction.atomic():
        attest_rows(rows=[user])
    for seed, defective in ((7, True), (8, False)):
        submission = services.Submission(filename="a.png", source="command", actor=user, part=part)
        record = services.inspect_here(
            data=parts.png(seed, defective=defective), submission=submission, version=version
        )
    record_review(
        inspection=record, verdict="defective", actor=user, defect_type="scratch", comment="seen with the lens",
        regions=[{"x": 1, "y": 2, "width": 3, "height": 4}],
    )  # fmt: skip
    set_threshold(version=version, value=123.25, method="manual", reason="a try", actor=user, evidence={"auroc": 1.0})
    return record


def test_rows_say_what_their_events_say(reviewed: Inspection) -> None:
    # Two records, one review, two thresholds; then version, category and person; a standing and two requests.
    assert verify_records() == (5 + 3 + 3, None)


@pytest.mark.parametrize(
    ("table", "change", "kind", "says"),
    [
        ("inspection_inspection", "SET score = 0.9999 * score", "inspection.recorded", "score is"),
        ("inspection_inspection", "SET lot = 'L8'", "inspection.recorded", "fingerprint"),
        ("inspection_inspection", "SET created_at = '2020-01-01 00:00:00+00:00'", "inspection.recorded", "fingerprint"),
        ("inspection_review", "SET verdict = 'good', defect_type = '', regions = '[]'", "review.recorded", "says"),
        ("modelzoo_threshold", "SET value = 99 WHERE revision = 2", "threshold.set", "value is 99.0"),
        ("modelzoo_threshold", "SET evidence = '{}' WHERE revision = 2", "threshold.set", "fingerprint"),
    ],
)
def test_an_edited_row_is_found(reviewed: Inspection, table: str, change: str, kind: str, says: str) -> None:
    with without_triggers(table), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} {change}")
    _, mismatch = verify_records()
    assert mismatch
    assert says in mismatch.reason
    events = AuditEvent.objects.filter(kind=kind).order_by("sequence")
    assert mismatch.event == (events.last() if "revision" in change else events.first()).sequence  # type: ignore[union-attr]


def test_a_removed_row_is_found(reviewed: Inspection) -> None:
    other = Inspection.objects.exclude(pk=reviewed.pk).get()
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=other.pk).delete()
    _, mismatch = verify_records()
    assert mismatch
    assert str(other.pk) in mismatch.reason
    assert "gone" in mismatch.reason


def test_a_row_that_was_slipped_in_is_found(reviewed: Inspection, version: ModelVersion) -> None:
    slipped = Threshold.objects.create(model_version=version, revision=3, value=1.0, method="manual", reason="x")
    _, mismatch = verify_records()
    assert mismatch
    assert mismatch.event is None
    assert f"modelzoo.threshold {slipped.pk}" in mismatch.reason


def test_changes_are_named_by_their_place() -> None:
    assert changes_of(None, {"a": 1}) == [{"field": "a", "before": None, "after": 1}]
    assert changes_of({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}) == [{"field": "a.b", "before": 1, "after": 3}]
    assert changes_of([1], [2]) == [{"field": "", "before": [1], "after": [2]}]
    assert changes_of({"a": 1}, {"a": 1}) == []
