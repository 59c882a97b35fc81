"""Data sets over the API: sent as archives, listed, looked at."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from modelzoo.models import Category
from records.models import Asset, AuditEvent
from tests import badfiles, parts
from tests.mvtec_site.test_api import problem
from training.models import Dataset, DatasetImage

pytestmark = pytest.mark.django_db


def packed(folder: Path, *, inside: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, Path(inside) / path.relative_to(folder))
    return out.getvalue()


def archive(data: bytes, filename: str = "parts.zip") -> SimpleUploadedFile:
    return SimpleUploadedFile(filename, data)


def send(client: Client, data: bytes, name: str = "", filename: str = "parts.zip") -> Any:
    return client.post("/api/datasets", {"archive": SimpleUploadedFile(filename, data), "name": name})


@pytest.fixture
def dataset(signed_in: Client, dataset_folder: Path) -> dict[str, Any]:
    [made] = send(signed_in, packed(dataset_folder, inside="disc")).json()
    return dict(made)


# ---------------------------------------------------------------- sending
def test_an_archive_becomes_a_data_set(signed_in: Client, dataset_folder: Path, settings: Any) -> None:
    (dataset_folder / "train/good/broken.png").write_bytes(badfiles.truncated_png())
    response = send(signed_in, packed(dataset_folder, inside="disc"))
    assert response.status_code == 201, response.content
    [document] = response.json()
    counts = ("train_images", "test_images", "defective_images", "masks", "skipped_count")
    assert [document[name] for name in counts] == [12, 8, 4, 4, 1]
    assert (document["name"], document["source"], document["created_by"]) == ("disc", "parts.zip", "olga")
    assert document["created"] is True
    assert document["skipped"][0]["path"] == "train/good/broken.png"
    full = signed_in.get(response["Location"]).json()
    assert full == {name: value for name, value in document.items() if name != "created"}
    [row] = signed_in.get("/api/datasets").json()["results"]
    assert row.items() <= full.items()
    assert not list(settings.VAR_DIR.glob("import-*")), "nothing is left of the archive"
    event = AuditEvent.objects.get(kind="dataset.imported")
    assert (event.actor_name, event.source) == ("olga", "api")


@pytest.mark.parametrize("spooled", [False, True], ids=["in memory", "in a temporary file"])
def test_the_same_content_is_the_same_data_set(
    signed_in: Client, dataset_folder: Path, settings: Any, spooled: bool
) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 0 if spooled else 2**30
    first = send(signed_in, packed(dataset_folder), name="disc", filename="../../a b.zip")
    assert first.status_code == 201, first.content
    again = send(signed_in, packed(dataset_folder, inside="x/y"), name="disc")
    assert again.status_code == 200
    assert (again.json()[0]["id"], again.json()[0]["created"]) == (first.json()[0]["id"], False)
    assert Dataset.objects.count() == 1


def test_an_archive_without_a_folder_is_called_after_its_file(signed_in: Client, dataset_folder: Path) -> None:
    [document] = send(signed_in, packed(dataset_folder), filename="Ring v2.tar.zip").json()
    assert document["name"] == "ring-v2"
    [nameless] = send(signed_in, packed(dataset_folder), filename="\u00fc" * 90 + ".zip").json()
    assert nameless["name"] == "\u00fc" * 90


def test_a_dry_run_says_what_would_be_and_keeps_nothing(signed_in: Client, dataset_folder: Path, settings: Any) -> None:
    shutil.copy(dataset_folder / "train/good/003.png", dataset_folder / "test/good/again.png")
    fields = {"dry_run": "true", "name": "disc", "layout": "mvtec-ad"}
    response = signed_in.post("/api/datasets", {"archive": archive(packed(dataset_folder, inside="disc")), **fields})
    assert response.status_code == 200, response.content
    [preview] = response.json()
    assert {(row["split"], row["defect_type"]): row["count"] for row in preview["images"]} == {
        ("train", "good"): 12,
        ("test", "good"): 4,
        ("test", "scratch"): 4,
    }
    assert (preview["masks"], preview["left_out_count"], preview["layout"]["name"]) == (4, 1, "mvtec-ad")
    assert preview["left_out"][0]["code"] == "leak"
    assert preview["duplicates"]["groups"][0]["images"] == [
        {"path": "train/good/003.png", "split": "train", "defect_type": "good", "left_out": False},
        {"path": "test/good/again.png", "split": "test", "defect_type": "good", "left_out": True},
    ]
    assert not Dataset.objects.exists()
    assert not Asset.objects.exists()
    assert not list(settings.VAR_DIR.glob("import-*"))
    [made] = signed_in.post(
        "/api/datasets", {"archive": archive(packed(dataset_folder)), **fields, "dry_run": "false"}
    ).json()
    assert made["snapshot"] == preview["snapshot"]
    assert (made["layout"], made["duplicates"]) == (preview["layout"], preview["duplicates"])


def test_duplicates_may_be_kept(signed_in: Client, dataset_folder: Path) -> None:
    shutil.copy(dataset_folder / "train/good/003.png", dataset_folder / "test/good/again.png")
    fields = {"archive": archive(packed(dataset_folder)), "name": "disc", "keep_duplicates": "true"}
    [made] = signed_in.post("/api/datasets", fields).json()
    assert (made["test_images"], made["skipped_count"], made["duplicates"]["left_out_count"]) == (9, 0, 0)


@pytest.mark.parametrize(
    ("field", "value", "status", "code"),
    [
        ("layout", "../../etc", 422, "no_such_layout"),
        ("layout", "x" * 101, 400, "invalid"),
        ("dry_run", "perhaps", 400, "invalid"),
        ("keep_duplicates", "perhaps", 400, "invalid"),
        ("good", "nowhere", 422, "no_such_folder"),
        ("good", [f"n{number}" for number in range(101)], 400, "invalid"),
        ("good", [f"n{number}" for number in range(10_000)], 413, "request_too_large"),
    ],
)
def test_what_a_dry_run_is_not_asked_like(
    signed_in: Client, dataset_folder: Path, field: str, value: Any, status: int, code: str
) -> None:
    fields = {"archive": archive(packed(dataset_folder)), "dry_run": "true", field: value}
    problem(signed_in.post("/api/datasets", fields), status, code)


def test_several_categories_are_several_data_sets(signed_in: Client, dataset_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("one", "two"):
        shutil.copytree(dataset_folder, root / name)
    problem(send(signed_in, packed(root), name="both"), 400, "several_categories")
    assert [row["name"] for row in send(signed_in, packed(root)).json()] == ["one", "two"]
    assert [row["name"] for row in signed_in.get("/api/datasets", {"category": "two"}).json()["results"]] == ["two"]
    assert signed_in.get("/api/datasets", {"name": "three"}).json()["results"] == []


def test_what_is_no_data_set_leaves_nothing(signed_in: Client, dataset_folder: Path, settings: Any) -> None:
    problem(signed_in.post("/api/datasets"), 400, "invalid")
    problem(signed_in.post("/api/datasets", {"archive": "text"}), 400, "invalid")
    problem(send(signed_in, b""), 400, "invalid")
    problem(send(signed_in, b"junk"), 415, "not_an_archive")
    problem(send(signed_in, b"PK\x03\x04 junk"), 422, "damaged_archive")
    problem(send(signed_in, packed(dataset_folder), name="!!!"), 400, "invalid_name")
    problem(send(signed_in, packed(dataset_folder), name="a\0"), 400, "invalid")
    shutil.rmtree(dataset_folder / "train")
    problem(send(signed_in, packed(dataset_folder)), 422, "no_good_images")
    escape = io.BytesIO()
    with zipfile.ZipFile(escape, "w") as archive:
        archive.writestr("../../outside.png", parts.png(1))
    problem(send(signed_in, escape.getvalue()), 422, "unsafe_path")
    problem(signed_in.post("/api/datasets", "{}", content_type="application/json"), 415, "unsupported_media_type")
    assert not Dataset.objects.exists()
    assert not list(settings.VAR_DIR.glob("import-*"))


def test_only_those_who_train_send_data(dataset_folder: Path, operator: User, auditor: User) -> None:
    for someone in (operator, auditor):
        client = Client()
        client.force_login(someone)
        problem(send(client, packed(dataset_folder)), 403, "permission_denied")
        assert client.get("/api/datasets").status_code == 200


# ---------------------------------------------------------------- looking
def test_images_by_path_and_by_what_they_are(signed_in: Client, dataset: dict[str, Any]) -> None:
    address = f"/api/datasets/{dataset['id']}/images"

    def found(**words: str) -> list[str]:
        return [row["path"] for row in signed_in.get(address, words).json()["results"]]

    assert len(found()) == 20
    assert found(split="test", is_defective="false") == [f"test/good/{index:03}.png" for index in range(4)]
    assert (
        found(defect_type="scratch")
        == found(is_defective="true")
        == [f"test/scratch/{index:03}.png" for index in range(4)]
    )
    first = signed_in.get(address, {"limit": "15"}).json()
    rest = signed_in.get(first["next"]).json()
    assert [row["path"] for row in first["results"] + rest["results"]] == found()
    for words in ({"split": "dev"}, {"is_defective": "maybe"}, {"defect_type": "\0"}, {"limit": "0"}):
        problem(signed_in.get(address, words), 400, "invalid")
    for text in ("\ud800", "\0"):
        cursor = urlsafe_b64encode(json.dumps([0, text]).encode()).decode()
        problem(signed_in.get(address, {"cursor": cursor}), 400, "invalid_cursor")
    problem(signed_in.get("/api/datasets/999/images"), 404, "dataset_not_found")
    problem(signed_in.get("/api/datasets/999"), 404, "dataset_not_found")


def test_an_image_and_its_mask_are_the_imported_bytes(
    signed_in: Client, dataset: dict[str, Any], dataset_folder: Path
) -> None:
    address = f"/api/datasets/{dataset['id']}/images"
    [row] = signed_in.get(address, {"defect_type": "scratch", "limit": "1"}).json()["results"]
    image = signed_in.get(row["image_url"])
    assert image.content == (dataset_folder / "test/scratch/000.png").read_bytes()
    assert image["Content-Type"] == "image/png"
    mask = signed_in.get(row["mask_url"])
    assert mask.content == (dataset_folder / "ground_truth/scratch/000_mask.png").read_bytes()
    again = signed_in.get(row["image_url"], headers={"If-None-Match": image["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    [good] = signed_in.get(address, {"split": "train", "limit": "1"}).json()["results"]
    assert (good["mask_url"], good["is_defective"], good["defect_type"]) == (None, False, "good")
    problem(signed_in.get(f"/api/dataset-images/{good['id']}/mask"), 404, "no_mask")
    problem(signed_in.get("/api/dataset-images/999999/image"), 404, "dataset_image_not_found")


def test_a_discarded_image_is_gone_and_says_so(signed_in: Client, dataset: dict[str, Any]) -> None:
    image = DatasetImage.objects.filter(dataset=dataset["id"]).order_by("path")[0]
    address = f"/api/dataset-images/{image.pk}/image"
    etag = signed_in.get(address)["ETag"]
    discarded_at = timezone.now()
    Asset.objects.filter(pk=image.asset_id).update(discarded_at=discarded_at)
    document = problem(signed_in.get(address, headers={"If-None-Match": etag}), 410, "image_discarded")
    assert (document["sha256"], document["discarded_at"]) == (image.asset.sha256, discarded_at.isoformat())
    [row] = signed_in.get(f"/api/datasets/{dataset['id']}/images", {"limit": "1"}).json()["results"]
    assert row["discarded"] is True


# ---------------------------------------------------------------- names and labels
def many(folders: dict[str, Path]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, folder in folders.items():
            for path in sorted(folder.rglob("*.png")):
                archive.write(path, Path("set") / name / path.relative_to(folder))
    return out.getvalue()


def test_parts_with_names_in_other_scripts_stay_apart(signed_in: Client, dataset_folder: Path, tmp_path: Path) -> None:
    other = parts.write_dataset(tmp_path / "other", train=3, good=1, bad=0)
    made = send(signed_in, many({"螺丝1": dataset_folder, "螺母1": other}))
    assert made.status_code == 201, made.content
    assert [row["category"] for row in made.json()] == ["螺丝1", "螺母1"]
    assert sorted(Category.objects.values_list("name", flat=True)) == ["螺丝1", "螺母1"]
    assert [row["train_images"] for row in signed_in.get("/api/datasets", {"category": "螺母1"}).json()["results"]] == [
        3
    ]
    rollback = signed_in.post("/api/categories/螺母1/rollback", {"reason": "x"}, content_type="application/json")
    assert rollback.json()["code"] == "no_model_loaded", "the address finds the category"


def test_two_names_never_become_one_in_silence(signed_in: Client, dataset_folder: Path, tmp_path: Path) -> None:
    other = parts.write_dataset(tmp_path / "other", train=3, good=1, bad=0)
    refused = send(signed_in, many({"ring (a)": dataset_folder, "ring-a": other}))
    assert (refused.status_code, refused.json()["code"]) == (422, "name_taken")
    assert not Dataset.objects.exists()
    assert send(signed_in, packed(dataset_folder), filename="Ring (a).zip").status_code == 201
    refused = send(signed_in, packed(other), filename="ring_ a.zip", name="Ring: a")
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")
    assert "'Ring (a)'" in refused.json()["detail"]
    assert not Dataset.objects.filter(images__path="train/good/002.png").exclude(category__name="ring-a").exists()
    assert send(signed_in, packed(other), name="ring-a").status_code == 201, "the short name says which is meant"


def test_what_an_earlier_release_called_by_its_latin_letters_is_asked_about(
    signed_in: Client, dataset_folder: Path
) -> None:
    Category.objects.create(name="gehause-gro-v2")
    refused = send(signed_in, packed(dataset_folder), name="Gehäuse groß (V2)")
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")
    for name in ("gehause-gro-v2", "gehäuse-groß-v2"):
        assert send(signed_in, packed(dataset_folder), name=name).json()[0]["category"] == name


def test_a_folder_that_can_be_read_either_way_is_asked_about(signed_in: Client, dataset_folder: Path) -> None:
    (dataset_folder / "test/good").rename(dataset_folder / "test/good_old")
    refused = send(signed_in, packed(dataset_folder), name="disc")
    assert (refused.status_code, refused.json()["code"]) == (422, "unclear_label")
    assert refused.json()["folders"] == ["test/good_old"]
    assert not Dataset.objects.exists()
    archive = SimpleUploadedFile("disc.zip", packed(dataset_folder))
    [made] = signed_in.post(
        "/api/datasets", {"archive": archive, "name": "disc", "good": ["good_old"], "defect": ["scratch", "Scratch"]}
    ).json()
    assert (made["test_images"], made["defective_images"]) == (8, 4)
