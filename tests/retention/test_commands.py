"""Retention at the command line."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from modelzoo.models import ModelVersion
from records.models import Asset
from retention import services
from retention.models import RetentionPolicy, RetentionRun
from tests.mvtec_site.test_commands import fails, run
from tests.retention.test_services import record, stored

pytestmark = pytest.mark.django_db


def test_set_retention(version: ModelVersion) -> None:
    made = run("set_retention", "disc", good_after_days=90, good_keep_every=100, reason="storage")
    assert (made["category"], made["revision"], made["good_after_days"], made["keep_reviewed"]) == ("disc", 1, 90, True)
    made = run("set_retention", "disc", reason="all again", reviewed_too=True)
    assert (made["revision"], made["good_after_days"], made["keep_reviewed"]) == (2, None, False)
    fails("set_retention", "ring", reason="x", match="no category")
    fails("set_retention", "disc", reason="x", good_after_days=0, match="--good-after-days")
    fails("set_retention", "disc", reason="x", good_keep_every=-5, match="--good-keep-every")
    fails("set_retention", "disc", reason=" ", match="reason")
    fails("set_retention", "disc", reason="x" * 501, match="--reason")
    assert RetentionPolicy.objects.count() == 2


def test_apply_retention(version: ModelVersion) -> None:
    fails("apply_retention", category="disc", match="no retention rule")
    fails("apply_retention", category="ring", match="no category")
    record(version, "old")
    record(version, "young", days=3)
    stored(b"nobody's", days=50)
    run("set_retention", "disc", good_after_days=30, reason="storage")
    for dry_run in (True, False):
        disc, nobody = run("apply_retention", dry_run=dry_run)
        assert (disc["category"], disc["images"], disc["maps"], disc["dry_run"]) == ("disc", 1, 1, dry_run)
        assert (nobody["category"], nobody["orphans"]) == (None, 1)
        assert Asset.objects.filter(discarded_at__isnull=False).count() == (0 if dry_run else 3)
    [only] = run("apply_retention", category="disc")
    assert (only["images"], only["status"]) == (0, "finished")


def test_apply_retention_prints_a_table(version: ModelVersion) -> None:
    record(version, "old")
    run("set_retention", "disc", good_after_days=30, reason="storage")
    out = io.StringIO()
    call_command("apply_retention", dry_run=True, stdout=out, stderr=io.StringIO())
    head, disc, nobody, *rest = out.getvalue().splitlines()
    assert head.split() == ["subject", "images", "maps", "orphans", "leftovers", "bytes", "oldest"]
    assert disc.startswith("retention of disc, revision 1  1       1")
    assert disc.endswith(f"{timezone.now() - timedelta(days=100):%Y-%m-%d}")
    assert nobody.startswith("orphaned files")
    assert rest[0].startswith("  e.g. image ")
    assert rest[-1] == "Nothing was deleted."


def test_apply_retention_beside_another_run(version: ModelVersion) -> None:
    run("set_retention", "disc", good_after_days=30, reason="storage")
    other = services.request_run(policy=None, dry_run=True, actor=None)
    assert services._take(other.pk)
    fails("apply_retention", category="disc", match="Another run")
    assert RetentionRun.objects.filter(status="queued").exists()
