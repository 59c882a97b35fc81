"""Retention: which files go, that nothing else does, and that a crash at any point leaves one consistent story."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import Inspection, InspectionRequest, Review, Standing
from jobs.engine import Claim
from jobs.errors import ClaimLost
from modelzoo.loading.artifact_store import artifact_name, check_artifact
from modelzoo.models import Category, ModelVersion
from modelzoo.services import set_threshold
from records.assets.services import save_asset_row, store_file
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from records.storage.s3 import ObjectStorage
from retention import leftovers, selectors, services, tasks
from retention.models import RetentionPolicy, RetentionRun
from tests.conftest import person
from tests.object_storage import new_bucket
from training.models import Dataset, DatasetImage

pytestmark = pytest.mark.django_db
Commit = Callable[..., AbstractContextManager[Any]]


def stored(content: bytes, *, days: int = 0) -> Asset:
    """An asset with these bytes as its file, kept since so many days."""
    asset = save_asset_row(
        store_file(data=content, extension="png", content_type="image/png", width=4, height=4, sha256=None)
    )
    Asset.objects.filter(pk=asset.pk).update(created_at=timezone.now() - timedelta(days=days))
    return asset


def request(version: ModelVersion, asset: Asset, *, status: str, days: int = 0) -> InspectionRequest:
    made = InspectionRequest.objects.create(
        asset=asset,
        model_version=version,
        filename="a.png",
        source="api",
        status=status,
        error_code="x" if status == "failed" else "",
    )
    InspectionRequest.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(days=days))
    return made


def record(
    version: ModelVersion, name: str, *, outcome: str = "good", days: int = 100, asset: Asset | None = None
) -> Inspection:
    """A record of so many days ago, with an image and a map of its own."""
    asset = asset or stored(f"image {name}".encode(), days=days)
    threshold = version.thresholds.get()
    scored = outcome != "not_comparable"
    return Inspection.objects.create(
        request=request(version, asset, status="done", days=days),
        asset=asset,
        model_version=version,
        category=version.category,
        threshold=threshold,
        threshold_value=threshold.value,
        outcome=outcome,
        score={"good": threshold.value - 1, "defective": threshold.value + 1}.get(outcome),
        reason="" if scored else "no_part_found",
        explanation="" if scored else "No part.",
        map=stored(f"map {name}".encode(), days=days) if scored else None,
        map_maximum=1.0 if scored else None,
        filename="a.png",
        source="api",
        timings={},
        device="cpu",
        worker="test",
        code_version="test",
        created_at=timezone.now() - timedelta(days=days),
    )


def review(inspection: Inspection, verdict: str) -> None:
    reviewer = User.objects.filter(username="rita").first() or person("rita", "operator")
    now = timezone.now()
    said = Review.objects.create(
        inspection=inspection, number=1, verdict=verdict, agrees=True, reviewer=reviewer, created_at=now
    )
    Standing.objects.create(
        inspection=inspection,
        last_review=said,
        verdict=verdict,
        reviewer=reviewer,
        overruled=verdict != inspection.outcome,
        contested=False,
        reviews=1,
        inspected_at=inspection.created_at,
    )


def policy(version: ModelVersion, **rule: Any) -> RetentionPolicy:
    return services.set_policy(category=version.category, reason="test", actor=None, **rule)


@pytest.fixture
def carry_out(django_capture_on_commit_callbacks: Commit) -> Callable[..., RetentionRun]:
    """A run from its request to its end, with what happens on commit."""

    def carry(rule: RetentionPolicy | None, *, dry_run: bool = False) -> RetentionRun:
        run = services.request_run(policy=rule, dry_run=dry_run, actor=None, here=True)
        with django_capture_on_commit_callbacks(execute=True):
            assert services.work_on_run(run_id=run.pk, seconds=None)
        return selectors.find_run(run.pk)

    return carry


def is_there(asset: Asset | None) -> bool:
    """Row and file say the same."""
    assert asset is not None
    fresh = Asset.objects.get(pk=asset.pk)
    if fresh.discarded_at is None:
        assert fresh.read()
        return True
    assert fresh.file.name == ""
    assert not Path(default_storage.path(f"assets/{fresh.sha256[:2]}/{fresh.sha256[2:4]}/{fresh.sha256}.png")).exists()
    with pytest.raises(UserError, match="deleted by retention") as gone:
        fresh.read()
    assert (gone.value.status, gone.value.code) == (410, "image_discarded")
    return False


# ---------------------------------------------------------------- which files go
RULES: list[tuple[dict[str, Any], dict[str, tuple[bool, bool | None]]]] = [
    # rule; for each record below: whether its image and its map are kept
    ({}, dict.fromkeys(("young", "old", "defective", "overruled", "confirmed"), (True, True))),
    (
        {"good_after_days": 30},
        {
            "young": (True, True),
            "old": (False, False),
            "defective": (True, True),
            "odd": (True, None),
            "overruled": (True, True),
            "confirmed": (True, True),
        },
    ),
    ({"good_after_days": 30, "good_keep_every": 1}, {"old": (True, True)}),
    ({"maps_after_days": 30}, {"young": (True, True), "old": (True, False), "defective": (True, True)}),
    ({"maps_after_days": 30}, {"overruled": (True, True), "confirmed": (True, True)}),
    (
        {"defective_after_days": 30},
        {"old": (True, True), "defective": (False, False), "odd": (False, None), "confirmed": (True, True)},
    ),
    ({"good_after_days": 30, "keep_reviewed": False}, {"confirmed": (False, False), "overruled": (True, True)}),
    ({"good_after_days": 100, "defective_after_days": 100}, {"old": (True, True), "defective": (True, True)}),
]


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_what_goes(
    version: ModelVersion,
    carry_out: Callable[..., RetentionRun],
    rule: dict[str, Any],
    expected: dict[str, tuple[bool, bool | None]],
) -> None:
    made = {
        "young": record(version, "young", days=5),
        "old": record(version, "old", days=50),
        "defective": record(version, "defective", outcome="defective", days=50),
        "odd": record(version, "odd", outcome="not_comparable", days=50),
        "overruled": record(version, "overruled", days=50),
        "confirmed": record(version, "confirmed", days=50),
    }
    review(made["overruled"], "defective")
    review(made["confirmed"], "good")
    carry_out(policy(version, **rule))
    for name, (image, map_) in expected.items():
        assert is_there(made[name].asset) is image, name
        if map_ is not None:
            assert is_there(made[name].map) is map_, name
    assert Inspection.objects.count() == len(made), "records stay"
    assert verify_chain().broken_at is None


def test_without_a_policy_everything_is_kept(version: ModelVersion) -> None:
    record(version, "old", days=5000)
    assert services.request_daily_runs() == []
    assert not selectors.discardable(now=timezone.now(), orphan_days=1).exists()


def test_a_dry_run_counts_what_a_run_then_takes(version: ModelVersion, carry_out: Callable[..., RetentionRun]) -> None:
    made = [record(version, str(number), days=60 + number) for number in range(12)]
    rule = policy(version, good_after_days=30)
    events = AuditEvent.objects.filter(kind=selectors.DISCARDED)
    dry = carry_out(rule, dry_run=True)
    assert all(is_there(one.asset) for one in made)
    assert not events.exists()
    real = carry_out(rule)
    assert not any(is_there(one.asset) or is_there(one.map) for one in made)
    for run in (dry, real):
        assert (run.status, run.images, run.maps, len(run.examples)) == ("finished", 12, 12, 10)
        assert run.size_bytes == sum(Asset.objects.values_list("size_bytes", flat=True))
        assert run.oldest == Asset.objects.order_by("created_at").values_list("created_at", flat=True)[0]
        assert [run.first_sha256, run.last_sha256] == [
            f(Asset.objects.values_list("sha256", flat=True)) for f in (min, max)
        ]
    again = carry_out(rule)
    assert (again.images, again.maps, again.size_bytes) == (0, 0, 0)


def test_every_file_that_went_is_named_in_the_audit_log(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_MAX_LINES", 5)
    monkeypatch.setattr(services, "_MAX_DISCARDED_AT_ONCE", 8)
    made = [record(version, str(number)) for number in range(9)]
    shared = [record(version, f"again {number}", asset=made[0].asset) for number in range(3)]
    run = carry_out(policy(version, good_after_days=30))
    events = AuditEvent.objects.filter(kind=selectors.DISCARDED)
    told = [json.loads(event.after) for event in events]
    lines = [line for one in told for line in one["files"]]
    assert max(len(one["files"]) for one in told) <= 5
    assert {(one["category"], one["policy_revision"]) for one in told} == {("disc", 1)}
    expected = {(one.asset.sha256, "image", str(one.pk)) for one in made + shared}
    expected |= {(one.map.sha256, "map", str(one.pk)) for one in made + shared if one.map}
    assert {(line["sha256"], line["what"], line["inspection"]) for line in lines} == expected
    assert len(lines) == len(expected)
    assert list(selectors.runs_that_took(made[0].asset.sha256)) == [run]
    finished = json.loads(AuditEvent.objects.get(kind="retention_run.finished").after)
    assert (finished["images"], finished["maps"], finished["first_sha256"]) == (9, 12, run.first_sha256)


def test_thinning_keeps_the_same_ones_each_time_and_fewer_when_told(
    version: ModelVersion, carry_out: Callable[..., RetentionRun]
) -> None:
    made = [record(version, str(number)) for number in range(60)]

    def left() -> set[str]:
        return {one.asset.sha256 for one in made if is_there(one.asset)}

    carry_out(policy(version, good_after_days=30, good_keep_every=2))
    half = left()
    assert half == {one.asset.sha256 for one in made if one.asset.sha256 < "8"}
    assert {one.asset.sha256 for one in made if is_there(one.map)} == half, "a map stays with its image"
    carry_out(RetentionPolicy.objects.get())
    assert left() == half
    carry_out(policy(version, good_after_days=30, good_keep_every=3))
    assert left() < half
    assert left() == {sha256 for sha256 in half if int(sha256, 16) < 16**64 // 3}


# ---------------------------------------------------------------- who else uses a file
@pytest.fixture
def other(version: ModelVersion) -> ModelVersion:
    """A version of another category."""
    fields = {
        field.name: getattr(version, field.name)
        for field in ModelVersion._meta.fields
        if field.name not in ("id", "category", "artifact_sha256", "created_at")
    }
    made = ModelVersion.objects.create(
        category=Category.objects.create(name="ring"), artifact_sha256=uuid.uuid4().hex * 2, **fields
    )
    set_threshold(version=made, value=1.0, method="manual", reason="test", actor=None)
    return made


def test_a_shared_file_goes_when_every_use_lets_it(
    version: ModelVersion, other: ModelVersion, carry_out: Callable[..., RetentionRun]
) -> None:
    mine = record(version, "shared")
    record(other, "of the other", asset=mine.asset)
    rule = policy(version, good_after_days=30)
    carry_out(rule)
    assert is_there(mine.asset), "the other category has no policy"
    assert not is_there(mine.map)
    policy(other, good_after_days=365)
    carry_out(rule)
    assert is_there(mine.asset)
    policy(other, good_after_days=40)
    carry_out(rule)
    assert not is_there(mine.asset)


@pytest.mark.parametrize(
    ("status", "days", "stays"),
    [
        ("queued", 50, True),
        ("running", 50, True),
        ("expired", 50, False),
        ("expired", 5, True),
        ("failed", 50, False),
        ("cancelled", 50, False),
    ],
)
def test_requests_hold_a_file_while_they_are_open_or_young(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], status: str, days: int, stays: bool
) -> None:
    old = record(version, "old")
    request(version, old.asset, status=status, days=days)
    carry_out(policy(version, good_after_days=30))
    assert is_there(old.asset) is stays


def test_what_a_data_set_has_is_kept(version: ModelVersion, carry_out: Callable[..., RetentionRun]) -> None:
    old, masked = record(version, "old"), record(version, "masked")
    dataset = Dataset.objects.create(name="disc", category=version.category, snapshot="1" * 64, source="test")
    DatasetImage.objects.create(
        dataset=dataset,
        path="a.png",
        asset=old.asset,
        split="test",
        is_defective=True,
        defect_type="scratch",
        mask=masked.asset,
    )
    carry_out(policy(version, good_after_days=30))
    assert (is_there(old.asset), is_there(masked.asset)) == (True, True)
    assert not is_there(old.map)


def test_every_reference_to_a_file_is_known_or_holds_it() -> None:
    """A table that begins to refer to assets holds them from the first day, without a word here."""
    others = set(selectors._other_uses())
    assert {(DatasetImage, "asset"), (DatasetImage, "mask")} <= others
    assert not {(Inspection, "asset"), (Inspection, "map"), (InspectionRequest, "asset")} & others


def test_a_use_that_begins_meanwhile_is_seen(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, gone = record(version, "old"), record(version, "gone")
    real = services.lock_audit_chain

    def somebody_is_faster() -> None:
        if not InspectionRequest.objects.filter(status="queued").exists():
            request(version, old.asset, status="queued")
        real()

    monkeypatch.setattr(services, "lock_audit_chain", somebody_is_faster)
    run = carry_out(policy(version, good_after_days=30))
    assert (is_there(old.asset), is_there(gone.asset)) == (True, False)
    assert run.images == 1


# ---------------------------------------------------------------- orphaned files
def test_orphans_go_after_their_days(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], settings: Any
) -> None:
    never = stored(b"never judged", days=50)
    request(version, never, status="expired", days=50)
    unused, young, waiting = stored(b"unused", days=31), stored(b"young", days=29), stored(b"waiting", days=50)
    request(version, waiting, status="queued", days=50)
    kept = record(version, "kept", days=50)
    dry = carry_out(None, dry_run=True)
    run = carry_out(None)
    assert (dry.orphans, run.orphans) == (2, 2)
    assert [is_there(asset) for asset in (never, unused, young, waiting, kept.asset, kept.map)] == [
        *(False, False),
        *(True,) * 4,
    ]
    told = json.loads(AuditEvent.objects.get(kind=selectors.DISCARDED).after)
    assert {line["inspection"] for line in told["files"]} == {None}
    assert told["orphan_days"] == 30
    settings.ORPHAN_DAYS = 0
    Asset.objects.update(created_at=timezone.now() - timedelta(days=5000))
    assert carry_out(None).orphans == 0


@pytest.fixture
def var_dir(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


def aged(path: Path, days: float = 2) -> Path:
    """A file, made here where there is none, that nobody touched for so many days; its folder neither."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(b"xx")
    moment = (timezone.now() - timedelta(days=days)).timestamp()
    for one in (path, path.parent):
        os.utime(one, (moment, moment))
    return path


def test_leftovers_go(version: ModelVersion, carry_out: Callable[..., RetentionRun], var_dir: Path) -> None:
    version.stage = ModelVersion.Stage.ARCHIVED
    version.save(update_fields=["stage"])
    orphan = "ab" + "cd" * 31
    media = Path(default_storage.path("assets"))
    gone = [
        aged(var_dir / "import-x1" / "a.png"),
        aged(var_dir / "demo-x1" / "a.png"),
        aged(Path(django_settings.MODEL_PATH) / "disc" / ".run-1.partial-0a" / "model.safetensors"),
        aged(Path(django_settings.MODEL_PATH) / "disc" / "run-9-1" / "manifest.json"),
        aged(var_dir / "engines" / ("0" * 64) / "fp32.onnx"),
        aged(var_dir / "engines" / version.artifact_sha256 / "fp32.onnx"),
        aged(media / "ab" / "cd" / f"{orphan}.png"),
        aged(media / "ab" / "cd" / f".{orphan}.png.0a0b"),
    ]
    kept = record(version, "kept")
    artifact = aged(version.artifact_path / "manifest.json", days=400)
    for asset in (kept.asset, kept.map):
        assert asset
        aged(Path(default_storage.path(str(asset.file.name))))
    young = aged(var_dir / "import-x2" / "a.png", days=0.5)
    arriving = aged(media / "ab" / "cd" / f"{'ab' + 'ce' * 31}.png", days=0.5)
    dry = carry_out(None, dry_run=True)
    assert all(path.exists() for path in gone)
    run = carry_out(None)
    assert (dry.leftovers, run.leftovers) == (8, 8)
    assert (dry.size_bytes, run.size_bytes) == (16, 16)
    assert [path for path in gone if path.exists()] == []
    assert young.exists()
    assert arriving.exists()
    assert artifact.exists(), "an archived version has judged, and is replayed"
    assert check_artifact(version)
    assert is_there(kept.asset)
    assert is_there(kept.map)


def test_leftovers_in_an_object_storage_go(
    version: ModelVersion,
    carry_out: Callable[..., RetentionRun],
    settings: Any,
    var_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.MODEL_PATH = var_dir / "models"  # artifacts of other tests lie in the common one
    with new_bucket() as bucket:
        settings.STORAGES = settings.STORAGES | {
            "default": bucket.storage("media"),
            "artifacts": bucket.storage("artifacts"),
        }
        kept, artifact = record(version, "kept"), artifact_name(version.artifact_sha256)
        orphan, unknown = "ab" + "cd" * 31, "0a" + "0b" * 31
        for name in (f"{artifact}/manifest.json", f"{unknown[:2]}/{unknown}/manifest.json"):
            storages["artifacts"].save(name, ContentFile(b"{}"))
        default_storage.save(f"assets/ab/cd/{orphan}.png", ContentFile(b"x"))
        assert carry_out(None).leftovers == 0, "they are young"
        monkeypatch.setattr(leftovers, "_AGE", timedelta(days=-1))
        dry = carry_out(None, dry_run=True)
        run = carry_out(None)
        assert (dry.leftovers, run.leftovers) == (2, 2)
        assert [key for key in bucket.names() if orphan in key] == []
        assert [key for key in bucket.names() if key.startswith("artifacts")] == [f"artifacts/{artifact}/manifest.json"]
        for asset in (kept.asset, kept.map):
            assert asset
            assert asset.read()


def test_a_file_of_an_object_storage_that_is_stored_again_meanwhile_stays() -> None:
    with new_bucket() as bucket:
        storage = ObjectStorage(**bucket.storage("media")["OPTIONS"])
        storage.save("assets/ab/x", ContentFile(b"x"))
        before = storage.get_modified_time("assets/ab/x") - timedelta(seconds=1)
        assert not leftovers.StoredLeftover(storage, "assets/ab/x", 1, before).remove()
        assert storage.exists("assets/ab/x")
        assert not leftovers.StoredLeftover(storage, "assets/ab/gone", 1, before).remove()


def test_an_artifact_that_is_written_again_meanwhile_stays(version: ModelVersion, var_dir: Path) -> None:
    """An import found it there, and is about to name it."""
    manifest = aged(Path(django_settings.MODEL_PATH) / "disc" / "imported-0a" / "manifest.json")
    [leftover] = leftovers.in_var_dir(timezone.now())
    os.utime(manifest.parent)
    assert not leftover.remove()
    assert manifest.exists()


def test_a_run_that_lost_its_claim_removes_no_more_leftovers(
    version: ModelVersion, var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [aged(var_dir / f"import-x{number}" / "a.png") for number in range(3)]
    run = services.request_run(policy=None, dry_run=False, actor=None, here=True)
    remove = leftovers.Leftover.remove

    def taken_over(self: leftovers.Leftover) -> bool:
        RetentionRun.objects.update(claim=uuid.uuid4())
        return remove(self)

    monkeypatch.setattr(leftovers.Leftover, "remove", taken_over)
    assert services.work_on_run(run_id=run.pk, seconds=None) is False
    assert sum(path.exists() for path in folders) == 2


def test_the_lease_is_renewed_between_leftovers(
    version: ModelVersion, var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        aged(var_dir / f"import-x{number}" / "a.png")
    run = services.request_run(policy=None, dry_run=False, actor=None, here=True)
    past, seen = timezone.now() - timedelta(hours=1), []

    def slow(self: leftovers.Leftover) -> bool:
        seen.append(selectors.find_run(run.pk).lease_expires_at)
        RetentionRun.objects.update(lease_expires_at=past)
        return True

    monkeypatch.setattr(leftovers.Leftover, "remove", slow)
    assert services.work_on_run(run_id=run.pk, seconds=None)
    assert len(seen) == 3
    assert past not in seen


def test_a_folder_that_stays_is_not_counted(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], var_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = aged(var_dir / "import-x1" / "a.png")
    monkeypatch.setattr(leftovers.shutil, "rmtree", lambda path, ignore_errors: None)
    run = carry_out(None)
    assert (run.status, run.leftovers, run.size_bytes) == ("finished", 0, 0)
    assert kept.exists()


def test_engines_of_models_in_use_stay(deployment: Any, carry_out: Callable[..., RetentionRun], var_dir: Path) -> None:
    version = deployment.model_version
    built = aged(var_dir / "engines" / version.artifact_sha256 / "fp32.onnx")
    carry_out(None)
    assert built.exists()


def test_a_file_that_is_stored_again_while_it_is_removed_stays(version: ModelVersion) -> None:
    asset = stored(b"again")
    path = aged(Path(default_storage.path(str(asset.file.name))))
    Asset.objects.all().delete()
    [found] = [one for number in range(256) for one in leftovers.in_storage(number, timezone.now())]
    again = store_file(data=b"again", extension="png", content_type="image/png", width=4, height=4)
    assert found.remove() is False
    assert path.read_bytes() == b"again"
    assert save_asset_row(again).read() == b"again"


# ---------------------------------------------------------------- crashes and company
def test_a_crash_before_the_file_is_deleted_is_made_good(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = record(version, "old")
    rule = policy(version, good_after_days=30)
    with monkeypatch.context() as patch:
        patch.setattr(services, "_delete_files", lambda ids: None)
        carry_out(rule)
    fresh = Asset.objects.get(pk=old.asset.pk)
    assert fresh.discarded_at
    assert Path(default_storage.path(str(fresh.file.name))).exists()
    assert carry_out(rule).images == 0
    assert not is_there(old.asset)
    assert AuditEvent.objects.filter(kind=selectors.DISCARDED).count() == 1


def test_a_killed_run_goes_on_where_it_was(
    version: ModelVersion,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Commit,
) -> None:
    monkeypatch.setattr(services, "_WINDOW", 4)
    made = [record(version, str(number)) for number in range(10)]
    run = services.request_run(policy=policy(version, good_after_days=30), dry_run=False, actor=None, here=True)
    steps = 0

    def killed(now: RetentionRun) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    with django_capture_on_commit_callbacks(execute=True), pytest.raises(KeyboardInterrupt):
        services.work_on_run(run_id=run.pk, seconds=None, progress=killed)
    half = selectors.find_run(run.pk)
    assert (half.status, half.images + half.maps) == ("running", 8)
    assert services.work_on_run(run_id=run.pk) is False, "its lease has not run out"
    RetentionRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    services.RETENTION_RUNS.sweep()
    with django_capture_on_commit_callbacks(execute=True):
        tasks.work(str(run.pk))
    whole = selectors.find_run(run.pk)
    assert (whole.status, whole.images, whole.maps) == ("finished", 10, 10)
    assert not any(is_there(one.asset) or is_there(one.map) for one in made)
    told = [json.loads(event.after) for event in AuditEvent.objects.filter(kind=selectors.DISCARDED)]
    names = [line["sha256"] for one in told for line in one["files"]]
    assert len(names) == len(set(names)) == 20
    assert verify_chain().broken_at is None


def test_a_slice_hands_the_rest_on(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_WINDOW", 4)
    for number in range(10):
        record(version, str(number))
    run = services.request_run(policy=policy(version, good_after_days=30), dry_run=True, actor=None)
    calls = 0
    while selectors.find_run(run.pk).status != "finished":
        assert services.work_on_run(run_id=run.pk, seconds=0)
        calls += 1
    assert calls == 6
    assert selectors.find_run(run.pk).images == 10
    assert services.work_on_run(run_id=run.pk) is False, "it is over"


def test_two_never_run_at_once(version: ModelVersion, other: ModelVersion) -> None:
    first = services.request_run(policy=policy(version, good_after_days=30), dry_run=True, actor=None)
    second = services.request_run(policy=policy(other, good_after_days=30), dry_run=True, actor=None)
    assert services._take(first.pk)
    assert services.work_on_run(run_id=second.pk) is False
    assert selectors.find_run(second.pk).status == "queued"
    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionRun.objects.filter(pk=second.pk).update(status="running")
    with pytest.raises(Conflict, match="in progress"):
        services.request_run(policy=first.policy, dry_run=False, actor=None, here=True)


def test_a_run_that_lost_its_claim_writes_nothing_more(version: ModelVersion) -> None:
    old = record(version, "old")
    run = services.request_run(policy=policy(version, good_after_days=30), dry_run=False, actor=None, here=True)

    def taken(now: RetentionRun) -> None:
        RetentionRun.objects.update(claim=uuid.uuid4())

    assert services.work_on_run(run_id=run.pk, seconds=None, progress=taken) is True
    found = selectors.find_run(run.pk)
    assert (found.status, found.images) == ("running", 1)
    assert Asset.objects.get(pk=old.asset.pk).discarded_at
    record(version, "another")
    run.last_asset = 0
    with pytest.raises(ClaimLost):
        services._step(run, Claim(services.RETENTION_RUNS, run.pk, uuid.uuid4()))
    assert selectors.find_run(run.pk).images == 1


def test_a_policy_that_is_replaced_stops_its_run(version: ModelVersion) -> None:
    old = record(version, "old")
    rule = policy(version, good_after_days=30)
    run = services.request_run(policy=rule, dry_run=False, actor=None, here=True)
    policy(version)
    assert services.work_on_run(run_id=run.pk, seconds=None), "nothing may go any more, so nothing went"
    assert selectors.find_run(run.pk).images == 0
    with pytest.raises(Conflict, match="replaced"):
        services._discard(run, Claim(services.RETENTION_RUNS, run.pk, uuid.uuid4()), [old.asset.pk])
    assert is_there(old.asset)
    with pytest.raises(Conflict, match="no longer active"):
        services.request_run(policy=rule, dry_run=True, actor=None)


def test_a_disk_that_refuses_ends_the_run_with_the_reason(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    record(version, "old")
    rule = policy(version, good_after_days=30)

    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(services, "_delete_pending", refuse)
    run = carry_out(rule)
    assert (run.status, run.error_code) == ("failed", "storage_failed")
    assert AuditEvent.objects.filter(kind="retention_run.failed").exists()


# ---------------------------------------------------------------- who, when
def test_a_policy_needs_the_right_and_a_reason(version: ModelVersion, user: User, administrator: User) -> None:
    with pytest.raises(Forbidden):
        services.set_policy(category=version.category, reason="x", actor=user)
    with pytest.raises(UserError, match="reason"):
        services.set_policy(category=version.category, reason=" ", actor=administrator)
    first = services.set_policy(category=version.category, good_after_days=10, reason="disk", actor=administrator)
    second = services.set_policy(category=version.category, reason="all of it again", actor=administrator)
    assert (first.revision, second.revision) == (1, 2)
    assert selectors.policy_in_force(version.category) == second
    assert list(selectors.policies_in_force()) == [second]
    told = json.loads(AuditEvent.objects.filter(kind="retention_policy.set")[0].before)
    assert (told["revision"], told["good_after_days"]) == (1, 10)
    with pytest.raises(Forbidden):
        services.request_run(policy=second, dry_run=True, actor=user)
    for change in ("UPDATE retention_retentionpolicy SET good_after_days = 1", "DELETE FROM retention_retentionpolicy"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
    for wrong in ({"good_after_days": 0}, {"maps_after_days": 40_000}, {"good_keep_every": 2_000_000}):
        with pytest.raises(IntegrityError), transaction.atomic():
            RetentionPolicy.objects.create(category=version.category, revision=9, reason="x", **wrong)


def test_a_real_run_needs_a_dry_run_of_the_same_revision(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], administrator: User, settings: Any
) -> None:
    rule = policy(version, good_after_days=30)
    for subject in (rule, None):
        with pytest.raises(Conflict, match="no finished preview"):
            services.request_run(policy=subject, dry_run=False, actor=administrator)
        carry_out(subject, dry_run=True)
        run = services.request_run(policy=subject, dry_run=False, actor=administrator)
        assert run.requested_by == administrator
        assert services.work_on_run(run_id=run.pk, seconds=None)
    with pytest.raises(Conflict, match="no finished preview"):
        services.request_run(policy=policy(version, good_after_days=20), dry_run=False, actor=administrator)
    settings.ORPHAN_DAYS = 10
    with pytest.raises(Conflict, match="no finished preview"):
        services.request_run(policy=None, dry_run=False, actor=administrator)


def test_every_day_the_first_one_rehearses(version: ModelVersion, django_capture_on_commit_callbacks: Commit) -> None:
    old = record(version, "old")
    policy(version, good_after_days=30)
    for dry_run in (True, False):
        tasks.daily()
        tasks.daily()  # a doubled message asks for nothing more
        asked = list(RetentionRun.objects.filter(status="queued").order_by("pk"))
        assert [(run.policy_id is None, run.dry_run) for run in asked] == [(False, dry_run), (True, dry_run)]
        with django_capture_on_commit_callbacks(execute=True):
            for run in asked:
                tasks.work(str(run.pk))
        assert is_there(old.asset) is dry_run


# ---------------------------------------------------------------- the same bytes again
def test_bytes_that_come_again_bring_the_file_back(
    version: ModelVersion, carry_out: Callable[..., RetentionRun]
) -> None:
    old = record(version, "old")
    rule = policy(version, good_after_days=30)
    carry_out(rule)
    assert not is_there(old.asset)
    again = save_asset_row(store_file(data=b"image old", extension="png", content_type="image/png", width=4, height=4))
    assert again.pk == old.asset.pk
    assert is_there(old.asset)
    event = AuditEvent.objects.get(kind="asset.received_again")
    assert json.loads(event.before)["discarded_at"]
    save_asset_row(store_file(data=b"image old", extension="png", content_type="image/png", width=4, height=4))
    assert AuditEvent.objects.filter(kind="asset.received_again").count() == 1
    carry_out(rule)
    assert not is_there(old.asset), "and it goes again, by the same rule"
    assert selectors.runs_that_took(old.asset.sha256).count() == 2


def test_bytes_that_come_again_before_the_file_was_deleted(
    version: ModelVersion, carry_out: Callable[..., RetentionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = record(version, "old")
    with monkeypatch.context() as patch:
        patch.setattr(services, "_delete_files", lambda ids: None)
        carry_out(policy(version, good_after_days=30))
    save_asset_row(store_file(data=b"image old", extension="png", content_type="image/png", width=4, height=4))
    services._delete_files([old.asset.pk])
    services._delete_pending()
    assert is_there(old.asset)


@pytest.fixture
def second_connection() -> Callable[[Callable[[], Any]], Any]:
    """Runs something in a thread with a connection of its own, to its end."""

    def run(work: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def body() -> None:
            try:
                found.append(work())
            finally:
                connection.close()

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(timeout=60)
        return found[0]

    return run


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "not config.getoption('--database') == 'postgresql'",
    reason="on SQLite the run cannot begin to write while somebody has not committed: it has one writer",
)
def test_a_file_that_is_being_used_at_this_moment_is_left_alone(
    version: ModelVersion, second_connection: Callable[[Callable[[], Any]], Any]
) -> None:
    """No waiting, no deadlock: who received the bytes again and has not committed yet keeps them."""
    old = record(version, "old")
    run = services.request_run(policy=policy(version, good_after_days=30), dry_run=False, actor=None, here=True)
    with transaction.atomic():
        asset = save_asset_row(
            store_file(data=b"image old", extension="png", content_type="image/png", width=4, height=4)
        )
        assert second_connection(lambda: services.work_on_run(run_id=run.pk, seconds=None)) is True
        request(version, asset, status="queued")
    found = selectors.find_run(run.pk)
    assert (found.status, found.images, found.maps) == ("finished", 0, 1)
    assert is_there(old.asset)
    assert not is_there(old.map)
