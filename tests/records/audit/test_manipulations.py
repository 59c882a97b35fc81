"""The table of manipulations: each is done, and found by the commands that docs/audit.md says, and by no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction

from inspection.judging import services
from inspection.reviews.services import record_review
from modelzoo.models import Deployment
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.checkpoints import Checkpoint, checkpoint_of
from records.audit.services import attest_rows, make_checkpoint
from tests import parts
from tests.environment import ROOT
from tests.records.audit.manipulations import (
    CHAIN,
    FILES,
    MANIPULATIONS,
    OUTSIDE,
    RECORDS,
    Manipulation,
    manipulate,
    table,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept(settings: Any, tmp_path: Path, deployment: Deployment, user: User, operator: User) -> Checkpoint:
    """Two records, one of them reviewed, and a checkpoint kept outside, with the public key."""
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"
    with transaction.atomic():
        attest_rows(rows=[user, operator])
    for seed in (7, 8):
        submission = services.Submission(filename="a.png", source="command", actor=user)
        record = services.inspect_here(
            data=parts.png(seed, defective=True), submission=submission, version=deployment.model_version
        )
    record_review(inspection=record, verdict="defective", actor=user)
    row, _ = make_checkpoint(actor=None)
    return replace(checkpoint_of(row), origin="kept outside")


@pytest.mark.parametrize("one", MANIPULATIONS, ids=lambda one: one.what)
def test_found_by_what_the_documents_say(one: Manipulation, kept: Checkpoint, settings: Any, tmp_path: Path) -> None:
    if one.is_refused:
        with pytest.raises(DatabaseError), transaction.atomic():
            one.do()
    settings.AUDIT_PUBLIC_KEYS = ""
    manipulate(one)
    found = {
        CHAIN: verify_all(records=False),
        RECORDS: verify_all(),
        FILES: verify_all(records=False, files=True),
        OUTSIDE: verify_all(records=False, elsewhere=[kept]),
    }
    assert {name for name, report in found.items() if report.sentence} == one.found_by, {
        name: report.sentence for name, report in found.items()
    }


def test_untouched_nothing_is_found(kept: Checkpoint) -> None:
    report = verify_all(files=True, elsewhere=[kept])
    assert (report.sentence, report.checkpoints, report.authenticated_from) == ("", 2, 1)
    assert report.files
    assert report.records


def test_the_documents_print_this_table() -> None:
    assert table() in (ROOT / "docs" / "audit.md").read_text()
