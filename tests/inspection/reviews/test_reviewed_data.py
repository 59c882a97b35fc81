"""What people said becomes labelled data: which images, with which labels, and what a version learns from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image, ImageEnhance

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.history.filters import parse_filters
from inspection.judging import services
from inspection.models import Inspection
from inspection.reviews.reviewed_data import KIND, Choice, dataset_from_reviews, share_of
from inspection.reviews.services import record_review
from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.preprocessing.input_check import view_of
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import Frame, PreparedImage, Preprocessing
from modelzoo.loading import scoring
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import threshold_in_force
from modelzoo.services import ensure_category, set_input_checks
from records.assets.selectors import upload_limits
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from tests import parts
from training.datasets.layouts.masks import open_mask
from training.datasets.layouts.scan import scan
from training.datasets.selectors import training_asset_ids
from training.models import Dataset, DatasetImage, TrainingRun
from training.runs import services as runs_services
from training.runs.execution.runner import RunFailed, execute

pytestmark = pytest.mark.django_db
BOX = {"x": 40, "y": 30, "width": 24, "height": 12}


def inspect(version: ModelVersion, data: bytes, **part: str) -> Inspection:
    return services.inspect_here(
        data=data,
        submission=services.Submission(
            filename="a.png", source="command", actor=None, part=services.PartContext(**part)
        ),
        version=version,
    )


def reviewed(version: ModelVersion, actor: User, data: bytes, verdict: str, **said: Any) -> Inspection:
    record = inspect(version, data, lot=said.pop("lot", ""))
    record_review(inspection=record, verdict=verdict, actor=actor, **said)
    return record


def make(category: Category, actor: User | None = None, *, name: str = "taught", **asked: Any) -> Dataset:
    filters = parse_filters(asked.pop("filters", {}))
    return dataset_from_reviews(name=name, category=category, choice=Choice(filters=filters, **asked), actor=actor)[0]


def images(dataset: Dataset) -> dict[str, DatasetImage]:
    return {image.asset.sha256: image for image in dataset.images.select_related("asset", "mask")}


# ---------------------------------------------------------------- which images, and what they are
def test_labels_splits_and_masks(version: ModelVersion, operator: User) -> None:
    good = [reviewed(version, operator, parts.png(seed), "good") for seed in range(100, 112)]
    bad = reviewed(
        version, operator, parts.png(1, defective=True), "defective", defect_type="Scratch, deep", regions=[BOX]
    )
    unnamed = reviewed(version, operator, parts.png(2, defective=True), "defective")
    inspect(version, parts.png(300))  # nobody reviewed it
    dataset = make(version.category, test_share=0.5)
    found = images(dataset)
    assert len(found) == 14
    assert (dataset.name, dataset.category, dataset.source) == ("taught", version.category, "reviews of disc")
    for record in good:
        image, sha = found[record.asset.sha256], record.asset.sha256
        assert image.split == ("test" if share_of(sha) < 0.5 else "train")
        assert (image.is_defective, image.defect_type, image.mask) == (False, "good", None)
        assert image.path == f"{image.split}/good/a-{sha[:12]}.png"
    assert {image.split for image in found.values()} == {"train", "test"}
    marked = found[bad.asset.sha256]
    assert (marked.split, marked.is_defective, marked.defect_type) == ("test", True, "Scratch, deep")
    assert marked.path == f"test/scratch-deep/a-{bad.asset.sha256[:12]}.png"
    assert marked.mask
    mask = open_mask(marked.mask.read(), upload_limits())
    assert mask.shape == (parts.SIDE, parts.SIDE)
    assert mask.sum() == BOX["width"] * BOX["height"]
    assert mask[30:42, 40:64].all()
    assert (found[unnamed.asset.sha256].defect_type, found[unnamed.asset.sha256].mask) == ("defect", None)
    [event] = AuditEvent.objects.filter(kind=KIND)
    assert json.loads(event.after)["images"] == 14
    assert verify_chain().broken_at is None


def test_the_snapshot_is_that_of_a_folder_with_the_same_content(
    version: ModelVersion, operator: User, tmp_path: Path
) -> None:
    for seed in (5, 6):
        reviewed(version, operator, parts.png(seed), "good")
    reviewed(
        version,
        operator,
        parts.png(1, defective=True),
        "defective",
        defect_type="scratch",
        regions=[BOX, BOX | {"x": 3}],
    )
    dataset = make(version.category, test_share=0)
    for image in images(dataset).values():
        path = tmp_path / "disc" / image.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.asset.read())
        if image.mask:
            path = tmp_path / f"disc/ground_truth/scratch/{path.stem}_mask.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(image.mask.read())
    [found] = scan(tmp_path / "disc", upload_limits())
    assert found.snapshot == dataset.snapshot


def test_equal_content_is_the_same_snapshot_and_a_new_review_is_another(version: ModelVersion, operator: User) -> None:
    record = reviewed(version, operator, parts.png(5), "good")
    first = make(version.category)
    events = AuditEvent.objects.count()
    assert make(version.category) == first
    assert AuditEvent.objects.count() == events
    record_review(inspection=record, verdict="good", actor=operator, comment="once more")
    assert make(version.category) == first, "labelled as before"
    reviewed(version, operator, parts.png(6), "good")
    second = make(version.category)
    assert second != first
    assert (second.name, first.images.count(), second.images.count()) == (first.name, 1, 2)


def test_the_last_word_counts_and_what_is_contested_is_left_out_unless_asked_for(
    version: ModelVersion, operator: User, user: User
) -> None:
    kept = reviewed(version, operator, parts.png(5), "good")
    contested = reviewed(version, operator, parts.png(6), "good")
    record_review(inspection=contested, verdict="defective", actor=user, defect_type="dent")
    dataset = make(version.category)
    assert set(images(dataset)) == {kept.asset.sha256}
    assert dataset.report["skipped"] == [[str(contested.pk), "its reviews differ"]]
    assert dataset.report["skipped_count"] == 1
    with_it = images(make(version.category, include_contested=True))
    assert with_it[contested.asset.sha256].defect_type == "dent"


def test_an_image_that_was_inspected_twice_is_there_once(version: ModelVersion, operator: User) -> None:
    first = reviewed(version, operator, parts.png(5), "defective", defect_type="dent")
    second = reviewed(version, operator, parts.png(5), "defective", defect_type="scratch")
    [image] = images(make(version.category)).values()
    assert image.defect_type == "scratch"
    record_review(inspection=first, verdict="defective", actor=operator, defect_type="hole")
    [image] = images(make(version.category)).values()
    assert image.defect_type == "hole", "what was said last, of whichever record"
    record_review(inspection=second, verdict="good", actor=operator)
    with pytest.raises(Conflict, match="2 records because its reviews differ"):
        make(version.category)


def test_filters_and_hard_examples_only(version: ModelVersion, operator: User) -> None:
    confirmed = reviewed(version, operator, parts.png(5), "good", lot="L1")
    overruled = reviewed(version, operator, parts.png(6, defective=True), "good", lot="L2")
    found = make(version.category, include_confirmed_good=False)
    assert set(images(found)) == {overruled.asset.sha256}
    assert found.report["skipped"] == [[str(confirmed.pk), "it is good and no model rejected it"]]
    assert set(images(make(version.category, filters={"lot": "L1"}))) == {confirmed.asset.sha256}
    asked = {"lot": "L2", "model_version": version.pk, "since": "2020-01-01"}
    found = make(version.category, name="second", filters=asked)
    assert set(images(found)) == {overruled.asset.sha256}
    assert found.report["made_from"]["filters"].items() >= {"lot": "L2", "category": "disc"}.items()
    other = ensure_category(name="other")
    with pytest.raises(Conflict, match="none is reviewed") as refusal:
        make(other)
    assert refusal.value.code == "no_reviewed_images"


def test_discarded_images_are_left_out_and_reported(version: ModelVersion, operator: User) -> None:
    gone = reviewed(version, operator, parts.png(5), "good")
    kept = reviewed(version, operator, parts.png(6), "good")
    Asset.objects.filter(pk=gone.asset_id).update(discarded_at=timezone.now())
    dataset = make(version.category)
    assert set(images(dataset)) == {kept.asset.sha256}
    assert dataset.report["skipped"] == [[str(gone.pk), "its image was deleted"]]
    assert any("1 record because its image was deleted" in warning for warning in dataset.report["warnings"])


def test_what_no_model_could_compare_is_never_learnt_from(version: ModelVersion, operator: User, blank: bytes) -> None:
    reviewed(version, operator, blank, "good")
    [image] = images(make(version.category, test_share=0)).values()
    assert (image.split, image.is_defective) == ("test", False)


def test_defect_types_that_are_no_folder_names(version: ModelVersion, operator: User) -> None:
    names = ["../etc", "\u5265\u96e2", "good!", "a/b"]
    for number, name in enumerate(names):
        reviewed(version, operator, parts.png(number, defective=True), "defective", defect_type=name)
    found = images(make(version.category)).values()
    assert {image.defect_type for image in found} == set(names)
    for image in found:
        split, folder, _ = image.path.split("/")
        assert split == "test"
        assert folder not in ("", "good", "..")
    [odd] = [image for image in found if image.defect_type == "good!"]
    assert odd.path.split("/")[1] == hashlib.sha256(b"good!").hexdigest()[:16]


def test_who_may_and_what_cannot_be_asked_for(version: ModelVersion, operator: User, user: User) -> None:
    reviewed(version, operator, parts.png(5), "good")
    with pytest.raises(Forbidden):
        make(version.category, operator)
    for asked in ({"name": "!!!"}, {"name": "x" * 101}, {"test_share": 1.5}, {"test_share": float("nan")}):
        with pytest.raises(UserError):
            make(version.category, user, **asked)
    assert not Dataset.objects.exists()
    assert make(version.category, user).created_by == user


def test_an_image_held_back_once_is_held_back_for_good(version: ModelVersion, operator: User) -> None:
    for seed in range(100, 108):
        reviewed(version, operator, parts.png(seed), "good")
    before = {sha: image.split for sha, image in images(make(version.category, test_share=0.5)).items()}
    for seed in range(108, 112):
        reviewed(version, operator, parts.png(seed), "good")
    after = {sha: image.split for sha, image in images(make(version.category, test_share=0.5)).items()}
    assert before.items() <= after.items()
    shares = [share_of(hashlib.sha256(bytes([n])).hexdigest()) for n in range(256)]
    assert 0 <= min(shares) < 0.05
    assert 0.95 < max(shares) < 1


# ---------------------------------------------------------------- learning from it
@pytest.fixture
def unchecked(version: ModelVersion) -> None:
    """Parts under a warmer lamp are judged, as they are where pictures of another kind are not refused."""
    rules = InputRules(colour="off", likeness="off")
    set_input_checks(category=version.category, rules=rules, reason="warm parts are judged", actor=None)


def warm(seed: int) -> bytes:
    """A good part under a lamp that the model has not learnt: wrongly rejected."""
    image = ImageEnhance.Brightness(parts.part(seed)[0]).enhance(1.25)
    pixels = np.asarray(image, dtype=np.float64) * [1.05, 1.0, 0.85]
    return parts.encode(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


@pytest.fixture
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is worked on inside the test's own transaction."""
    from jobs.heartbeat import Heartbeat

    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)


def carry_out(run: TrainingRun) -> ModelVersion:
    claim = runs_services.claim_run(run_id=run.pk, worker="test")
    assert claim
    return execute(claim)


def scores(version: ModelVersion, pictures: list[bytes]) -> np.ndarray:
    scoring.unload_models()
    results = scoring.score(scoring.load_model(version), pictures)
    return np.array([result.score for result in results if isinstance(result, scoring.ImageScore)])


@pytest.mark.usefixtures("_one_connection", "unchecked")
def test_wrongly_rejected_parts_score_lower_once_a_version_has_learnt_from_them(
    version: ModelVersion, operator: User, user: User
) -> None:
    for seed in range(200, 210):
        record = reviewed(version, operator, warm(seed), "good")
        assert record.outcome == "defective", "else there is nothing to learn"
    reviewed(version, operator, parts.png(1, defective=True), "defective", defect_type="scratch", regions=[BOX])
    dataset = make(version.category, user, include_confirmed_good=False, test_share=0.3)
    held_back = [image.asset.read() for image in dataset.images.filter(split="test", is_defective=False)]
    assert held_back
    run = runs_services.request_extension(version=version, dataset=dataset, actor=user)
    assert (run.base_version, run.algorithm, run.seed) == (version, "padim", version.seed)
    extended = carry_out(run)

    before, after = scores(version, held_back), scores(extended, held_back)
    assert (after < before).all(), "of good parts that it has not seen either"
    defective = [parts.png(2, defective=True)]
    assert scores(extended, defective) > threshold_in_force(extended.pk).value, "and a scratch is still one"

    run.refresh_from_db()
    assert (run.status, run.model_version, extended.training_run.base_version) == ("succeeded", extended, version)
    assert (extended.category, extended.number, extended.stage) == (version.category, version.number + 1, "candidate")
    assert (extended.dataset_name, extended.dataset_snapshot) == (dataset.name, dataset.snapshot)
    learnt = dataset.images.filter(split="train").count()
    assert len(extended.held_out_scores) == len(version.held_out_scores) + learnt
    assert extended.held_out_scores[: len(version.held_out_scores)] == pytest.approx(version.held_out_scores)
    threshold = threshold_in_force(extended.pk)
    assert threshold.value == pytest.approx(np.percentile(extended.held_out_scores, 90))
    assert threshold.parameters.items() >= {"n": len(extended.held_out_scores), "n_new": learnt}.items()
    metadata = artifacts.read_manifest(extended.artifact_path, extended.artifact_sha256)["metadata"]
    assert metadata["base_version"] == version.pk
    assert metadata["base_artifact_sha256"] == version.artifact_sha256
    assert extended.metrics["per_defect"]["scratch"]["n"] == 1
    assert artifacts.load(extended.artifact_path).n_train == artifacts.load(version.artifact_path).n_train + learnt
    version.refresh_from_db()
    assert artifacts.read_manifest(version.artifact_path, version.artifact_sha256), "the base is as it was"
    assert verify_chain().broken_at is None

    # Once learnt, there is nothing new in it, for the extended version and for all that come of it.
    assert training_asset_ids(extended) == set(dataset.images.filter(split="train").values_list("asset_id", flat=True))
    with pytest.raises(Conflict, match="no new good training image") as refusal:
        runs_services.request_extension(version=extended, dataset=dataset, actor=user)
    assert refusal.value.code == "nothing_to_learn"
    reviewed(version, operator, warm(300), "good")
    more = make(version.category, user, name="more", include_confirmed_good=False, test_share=0)
    again = carry_out(runs_services.request_extension(version=extended, dataset=more, actor=user))
    assert again.training_run.base_version == extended
    assert training_asset_ids(again) == set(more.images.filter(split="train").values_list("asset_id", flat=True))
    new = set(more.images.filter(split="train").values_list("asset_id", flat=True)) - training_asset_ids(extended)
    assert len(again.held_out_scores) == len(extended.held_out_scores) + len(new), "each image is learnt once"


@pytest.mark.usefixtures("_one_connection")
def test_what_the_base_cannot_compare_is_left_out_of_an_extension(
    version: ModelVersion, operator: User, monkeypatch: pytest.MonkeyPatch, blank: bytes
) -> None:
    reviewed(version, operator, warm(200), "good")
    dataset = make(version.category, test_share=0)
    asset = services.receive_image(data=blank, filename="b.png", actor=None)[0]
    DatasetImage.objects.create(
        dataset=dataset, path="train/good/z.png", asset=asset, split="train", is_defective=False, defect_type="good"
    )
    monkeypatch.setattr(Preprocessing, "is_plain", property(lambda self: False))
    monkeypatch.setattr(Preprocessing, "prepare", _prepare_or_refuse)
    extended = carry_out(runs_services.request_extension(version=version, dataset=dataset, actor=None))
    assert len(extended.held_out_scores) == len(version.held_out_scores) + 1
    assert extended.preprocessing["excluded"] == [{"image": "train/good/z.png", "reason": "no_part_found"}]


def _prepare_or_refuse(self: Preprocessing, image: Image.Image) -> PreparedImage:
    """As a preprocessing that looks for a part does, where there is one in the middle of the picture."""
    if not np.ptp(np.asarray(image), axis=(0, 1)).any():
        raise NotComparable("no_part_found", "No part can be separated from the background.")
    height, width = self.size
    pixels = np.asarray(image.resize((width, height)), dtype=np.uint8).transpose(2, 0, 1).copy()
    frame = Frame(image.height, image.width, (0, 0, image.width, image.height))
    return PreparedImage(torch.from_numpy(pixels), frame, view_of(pixels.transpose(1, 2, 0)))


@pytest.mark.usefixtures("unchecked")
def test_only_what_can_learn_more_is_extended(version: ModelVersion, operator: User, user: User) -> None:
    reviewed(version, operator, warm(200), "good")
    dataset = make(version.category, test_share=0)
    with pytest.raises(Forbidden):
        runs_services.request_extension(version=version, dataset=dataset, actor=operator)
    version.algorithm = "patchcore"
    with pytest.raises(Conflict, match="padim can") as refusal:
        runs_services.request_extension(version=version, dataset=dataset, actor=user)
    assert refusal.value.code == "not_extendable"
    version.algorithm = "padim"
    dataset.category = ensure_category(name="other")
    with pytest.raises(Conflict) as refusal:
        runs_services.request_extension(version=version, dataset=dataset, actor=user)
    assert refusal.value.code == "other_category"
    assert not TrainingRun.objects.exists()


def test_extendable_are_those_detectors_that_have_a_partial_fit() -> None:
    can = tuple(name for name in registry.names() if hasattr(registry.detector_class(name), "partial_fit"))
    assert can == runs_services.EXTENDABLE


@pytest.mark.usefixtures("_one_connection")
def test_a_base_whose_artifact_is_gone_fails_the_run_and_leaves_nothing(
    version: ModelVersion, operator: User, settings: Any
) -> None:
    reviewed(version, operator, warm(200), "good")
    run = runs_services.request_extension(version=version, dataset=make(version.category, test_share=0), actor=None)
    for file in Path(version.artifact_path).iterdir():
        file.unlink()
    with pytest.raises(RunFailed, match="manifest"):
        carry_out(run)
    run.refresh_from_db()
    assert (run.status, run.model_version) == ("failed", None)
    assert ModelVersion.objects.count() == 1


@pytest.mark.usefixtures("_one_connection")
def test_a_kind_of_picture_that_was_refused_is_judged_once_it_was_learnt(version: ModelVersion, operator: User) -> None:
    refused = [reviewed(version, operator, warm(seed), "good") for seed in range(200, 212)]
    assert {record.reason for record in refused} == {"unlike_training"}
    dataset = make(version.category, test_share=0)
    assert dataset.images.filter(split="train").count() == 12
    extended = carry_out(runs_services.request_extension(version=version, dataset=dataset, actor=None))
    assert inspect(extended, warm(220)).outcome == "good"
