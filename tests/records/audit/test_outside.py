"""Checkpoints outside the database: a locked bucket, a mailbox, paper; and what was kept is compared."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from moto import mock_aws

from common.errors import UserError
from records.audit.chain.checkpoints import checkpoint_of
from records.audit.chain.outside import checkpoints_outside, places_outside, write_qr
from records.audit.selectors import verify_chain
from records.audit.services import audit, make_checkpoint
from records.models import AuditEvent
from records.tasks import verify_sampled_files
from tests.triggers import without_triggers

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_is_enough]


@pytest.fixture(autouse=True)
def _own_keys(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"


def write() -> None:
    with transaction.atomic():
        audit(kind="test.done", subject=("test", ""), actor=None)


@pytest.fixture
def bucket(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings.AUDIT_CHECKPOINT_BUCKET = "seals"
    with mock_aws():
        yield boto3.resource("s3").create_bucket(Bucket="seals", ObjectLockEnabledForBucket=True)


def test_a_bucket_keeps_each_one_locked_and_is_compared_unasked(bucket: Any) -> None:
    write()
    row, _ = make_checkpoint(actor=None)
    make_checkpoint(actor=None)  # nothing happened: the same one again
    [kept] = bucket.objects.all()
    assert kept.Object().object_lock_mode == "COMPLIANCE"
    assert checkpoints_outside()[0].head == row.head
    with without_triggers("records_auditevent"), without_triggers("records_auditcheckpoint"):
        AuditEvent.objects.filter(sequence__gte=row.sequence).delete()
        row.delete()
    assert verify_chain().broken_at is None, "in the database nothing is missing"
    broken = verify_chain(elsewhere=checkpoints_outside())
    assert "the newest events were removed" in broken.reason


def test_a_bucket_without_object_lock_says_so(settings: Any, bucket: Any) -> None:
    settings.AUDIT_CHECKPOINT_BUCKET = "none"
    write()
    with pytest.raises(UserError, match="the bucket needs object lock"):
        make_checkpoint(actor=None)
    with pytest.raises(UserError, match="cannot be read"):
        checkpoints_outside()


def test_an_e_mail_carries_the_file(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_CHECKPOINT_EMAILS = ["quality@customer.example"]
    assert places_outside() == ["e-mail to quality@customer.example"]
    write()
    row, _ = make_checkpoint(actor=None)
    make_checkpoint(actor=None)
    [sent] = mail.outbox
    [(name, text, _)] = sent.attachments
    (tmp_path / name).write_text(str(text))
    told = io.StringIO()
    call_command("verify_audit", checkpoint=[tmp_path / name], stdout=io.StringIO(), stderr=told)
    assert "Checkpoints that agree with it: 2." in told.getvalue()
    assert row.head in sent.body


def test_a_mail_server_that_is_not_there(settings: Any) -> None:
    settings.AUDIT_CHECKPOINT_EMAILS = ["quality@customer.example"]
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1"
    settings.EMAIL_PORT = 1
    write()
    with pytest.raises(UserError, match="could not be sent"):
        make_checkpoint(actor=None)


def test_a_qr_code_holds_the_file(tmp_path: Path) -> None:
    import segno

    write()
    call_command("audit_checkpoint", qr=tmp_path / "seal.svg", stdout=io.StringIO(), stderr=io.StringIO())
    document = checkpoint_of(make_checkpoint(actor=None)[0]).document()
    expected = io.BytesIO()
    segno.make(json.dumps(document, separators=(",", ":")), micro=False).save(expected, kind="svg", scale=4)
    assert (tmp_path / "seal.svg").read_bytes() == expected.getvalue()
    checkpoint = checkpoint_of(make_checkpoint(actor=None)[0])
    with pytest.raises(UserError, match="could not be written"):
        write_qr(checkpoint, tmp_path / "seal.xyz")


def test_some_files_are_compared_each_night(version: Any, settings: Any) -> None:
    settings.AUDIT_FILES_SAMPLE = 10
    verify_sampled_files()
    event = AuditEvent.objects.order_by("-sequence")[0]
    assert (event.kind, json.loads(event.after)["files"], json.loads(event.after)["faults"]) == (
        "files.verified",
        1,
        [],
    )
    (version.artifact_path / "manifest.json").write_text("{}")
    verify_sampled_files()
    assert "is not the one on record" in json.loads(AuditEvent.objects.order_by("-sequence")[0].after)["faults"][0]
    settings.AUDIT_FILES_SAMPLE = 0
    verify_sampled_files()
    assert AuditEvent.objects.count() == event.sequence + 1
