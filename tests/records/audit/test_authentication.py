"""Authenticators of events: where they begin, which key is in force, and what somebody with an old key can do."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from common.errors import UserError
from records.audit import selectors
from records.audit.chain.audited_rows import verify_records
from records.audit.chain.checkpoints import checkpoint_of
from records.audit.chain.event_keys import EventKeyMissing, event_keys, start_again
from records.audit.chain.hashes import authenticator_of
from records.audit.chain.signing import own_key, pem
from records.audit.selectors import stream_events, verify_chain, verify_export
from records.audit.services import attest_rows, audit, make_checkpoint
from records.models import AuditEvent
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_keys(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"
    settings.AUDIT_EVENT_KEYS = tmp_path / "audit_event_keys.json"


def write(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            audit(kind="test.done", subject=("test", str(number)), actor=None)


def run(command: str, *words: Any) -> str:
    told = io.StringIO()
    call_command(command, *map(str, words), stdout=io.StringIO(), stderr=told)
    return told.getvalue()


@pytest.fixture
def old_chain(settings: Any, user: User) -> None:
    """Three events and a person of before there were authenticators."""
    write(3)
    with without_triggers("records_auditevent"):
        previous = "0" * 64
        for event in AuditEvent.objects.order_by("sequence"):
            event.previous_hash, event.key_id, event.attests, event.authenticator = previous, None, None, None
            event.hash = previous = event.computed_hash()
            event.save(force_update=True)
    Path(settings.AUDIT_EVENT_KEYS).unlink()


def test_a_new_chain_begins_with_them_and_the_key_is_the_owners_alone(settings: Any) -> None:
    write(2)
    report = verify_chain()
    assert (report.authenticated_from, report.unchecked, report.notices) == (1, 0, [])
    assert stat.S_IMODE(Path(settings.AUDIT_EVENT_KEYS).stat().st_mode) == 0o600


def test_an_old_chain_goes_on_until_a_checkpoint_begins_with_them(old_chain: None, user: User) -> None:
    write(1)
    assert AuditEvent.objects.filter(key_id__isnull=True).count() == 4
    row, _ = make_checkpoint(actor=None)
    began = AuditEvent.objects.get(kind="audit.authentication_began")
    assert (began.sequence, row.authenticated_from) == (5, 5)
    report = verify_chain()
    assert (report.broken_at, report.authenticated_from) == (None, 5)
    assert "from event 5 on" in report.notices[0]
    assert verify_records()[1] is None, "the person of before was taken in"
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    mismatch = verify_records()[1]
    assert mismatch
    assert f"auth.user {user.pk} was changed" in mismatch.reason


def test_where_they_begin_is_known_from_a_checkpoint_too(old_chain: None, settings: Any) -> None:
    kept = replace(checkpoint_of(make_checkpoint(actor=None)[0]), origin="kept outside")
    settings.AUDIT_EVENT_KEYS = Path(settings.VAR_DIR) / "none.json"
    broken = verify_chain(elsewhere=[kept])
    assert broken.broken_at == 4
    assert "is not here (AUDIT_EVENT_KEYS)" in broken.reason
    with pytest.raises(EventKeyMissing, match="Copy the file"):
        write(1)


def test_a_key_is_rotated_and_the_old_one_is_worth_nothing_afterwards() -> None:
    write(2)
    before = event_keys()
    assert before
    assert "is not in force" not in run("rotate_audit_key", "--prepare")
    prepared = event_keys()
    assert prepared
    write(1)
    assert AuditEvent.objects.get(sequence=3).key_id == before.current, "it was only prepared"
    run("rotate_audit_key")
    write(1)
    rotated, after = AuditEvent.objects.order_by("sequence")[3:5]
    assert (rotated.kind, rotated.key_id, after.key_id) == ("audit.key_rotated", before.current, prepared.newest)
    assert verify_chain().broken_at is None

    with without_triggers("records_auditevent"):
        after.key_id = before.current
        after.hash = after.computed_hash()
        after.authenticator = authenticator_of(after.hash, before.keys[before.current])
        after.save(force_update=True)
    broken = verify_chain()
    assert (broken.broken_at, "was in force" in broken.reason) == (5, True)


@pytest.mark.parametrize("kind", ["backup.restored", "test.done"])
def test_a_chain_restored_twice_without_its_keys(settings: Any, tmp_path: Path, kind: str) -> None:
    """Each installation goes on with a key of its own; no other event than the restoring one begins with another."""
    write(2)
    for number, first in enumerate([kind, "backup.restored"]):
        settings.AUDIT_EVENT_KEYS = tmp_path / f"keys-{number}.json"
        start_again(starts=AuditEvent.objects.count() + 1)
        with transaction.atomic():
            audit(kind=first, subject=("backup", ""), actor=None)
        write(1)
    exported = list(stream_events(AuditEvent.objects.all()))
    for report in (verify_chain(), verify_export(exported)):
        assert report.broken_at == (None if kind == "backup.restored" else 3), report.sentence
    settings.AUDIT_EVENT_KEYS = tmp_path / "none.json"
    assert verify_export(exported).broken_at == (None if kind == "backup.restored" else 3)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": "x"}', "\0", '{"format": "mvtec-audit-event-keys-1", "keys": 1}']
)
def test_a_file_of_keys_that_is_none(settings: Any, text: str) -> None:
    Path(settings.AUDIT_EVENT_KEYS).write_text(text)
    with pytest.raises(EventKeyMissing, match="no usable file"):
        write(1)


def test_a_clock_that_was_set_back_is_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    write(2)
    real: Callable[[], Any] = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() - timedelta(hours=1))
    write(1)
    report = verify_chain()
    assert (report.broken_at, report.clock.count, report.clock.first) == (None, 1, 3)
    assert report.clock.largest_seconds == pytest.approx(3600, abs=60)
    assert selectors.chain_state().clock_step == 3
    assert "Time ran backwards at 1 event, first at event 3" in run("verify_audit")


def test_only_pinned_public_keys_are_believed(settings: Any, tmp_path: Path) -> None:
    write(1)
    (tmp_path / "pinned").mkdir()
    settings.AUDIT_PUBLIC_KEYS = str(tmp_path / "pinned")
    (tmp_path / "pinned" / "ours.pem").write_text(pem(own_key().public_key()))
    make_checkpoint(actor=None)
    assert verify_chain().checkpoints == 1
    settings.AUDIT_SIGNING_KEY = tmp_path / "another.pem"
    settings.VAR_DIR = tmp_path / "another"
    (tmp_path / "another.pem").write_bytes((tmp_path / "audit_key.pem").read_bytes())
    (tmp_path / "pinned" / "ours.pem").unlink()
    with pytest.raises(UserError, match="holds no public key"):
        verify_chain()


def test_an_event_that_changes_nothing_vouches_for_nothing(user: User) -> None:
    with transaction.atomic():
        attest_rows(rows=[user])
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    with transaction.atomic():
        audit(kind="sign_out", subject=user, actor=user, changes_subject=False)
    assert verify_records()[1] is not None


def test_a_password_that_django_hashes_anew_is_attested(user: User, settings: Any) -> None:
    with transaction.atomic():
        attest_rows(rows=[user])
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", *settings.PASSWORD_HASHERS]
    assert User.objects.get(pk=user.pk).check_password("a-long-password")
    assert AuditEvent.objects.order_by("-sequence")[0].kind == "user.password_rehashed"
    assert verify_records()[1] is None
