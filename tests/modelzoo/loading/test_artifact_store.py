"""Artifacts by their content: one folder where files are local, fetched once and verified where they are shared."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from modelzoo.loading import scoring
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import artifact_name, check_artifact, local_folder, stored_artifact
from modelzoo.models import ModelVersion
from records.storage.errors import StorageUnavailable
from tests.object_storage import Bucket, new_bucket

pytestmark = pytest.mark.django_db
FILES = ["manifest.json", "model.safetensors"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with new_bucket() as made:
        yield made


@pytest.fixture
def shared(bucket: Bucket, settings: Any) -> Bucket:
    settings.STORAGES = settings.STORAGES | {"artifacts": bucket.storage("artifacts", timeout=2, attempts=1)}
    for key in bucket.names():
        bucket.client().delete_object(Bucket=bucket.name, Key=key)
    return bucket


@pytest.fixture
def trained(trained_artifact: Path, tmp_path: Path, settings: Any) -> tuple[Path, str]:
    """What a training wrote, and its hash."""
    folder = Path(shutil.copytree(trained_artifact, Path(settings.MODEL_PATH) / "disc" / "run-7-1"))
    return folder, hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def put(version: ModelVersion, name: str) -> None:
    """Into the storage, and no longer on this machine."""
    for path in sorted(version.artifact_path.iterdir()):
        storages["artifacts"].save(f"{name}/{path.name}", ContentFile(path.read_bytes()))
    shutil.rmtree(version.artifact_path)


def all_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_where_files_are_local_an_artifact_is_there_once(trained: tuple[Path, str], settings: Any) -> None:
    folder, sha256 = trained
    with stored_artifact(folder, sha256) as name:
        assert name == f"{sha256[:2]}/{sha256}"
    assert all_files(Path(settings.MODEL_PATH)) == [f"{name}/{file}" for file in FILES]
    with storages["artifacts"].open(f"{name}/manifest.json") as stored:
        assert hashlib.sha256(stored.read()).hexdigest() == sha256, "the storage is that folder"


def test_in_an_object_storage_it_is_there_too_before_the_version_is_registered(
    trained: tuple[Path, str], shared: Bucket, settings: Any
) -> None:
    folder, sha256 = trained
    with stored_artifact(folder, sha256) as name:
        assert shared.names() == [f"artifacts/{name}/{file}" for file in FILES]
        assert all_files(Path(settings.MODEL_PATH)) == [f"{name}/{file}" for file in FILES]


@pytest.mark.parametrize("where", ["local", "shared"])
def test_without_a_version_it_goes_again(
    trained: tuple[Path, str], settings: Any, request: pytest.FixtureRequest, where: str
) -> None:
    bucket = request.getfixturevalue("shared") if where == "shared" else None
    with pytest.raises(KeyboardInterrupt), stored_artifact(*trained):
        raise KeyboardInterrupt
    assert all_files(Path(settings.MODEL_PATH)) == []
    assert bucket is None or bucket.names() == []


def test_a_version_that_has_it_already_keeps_it(version: ModelVersion, tmp_path: Path) -> None:
    again = Path(shutil.copytree(version.artifact_path, tmp_path / "again"))
    with pytest.raises(ZeroDivisionError), stored_artifact(again, version.artifact_sha256):
        raise ZeroDivisionError
    assert check_artifact(version)


def test_what_a_killed_process_left_damaged_is_replaced(trained: tuple[Path, str], settings: Any) -> None:
    folder, sha256 = trained
    place = Path(settings.MODEL_PATH) / artifact_name(sha256)
    place.mkdir(parents=True)
    (place / "manifest.json").write_text("half")
    with stored_artifact(folder, sha256):
        assert sorted(path.name for path in place.iterdir()) == FILES
        assert hashlib.sha256((place / "manifest.json").read_bytes()).hexdigest() == sha256


def test_a_storage_that_is_away_leaves_nothing(trained: tuple[Path, str], settings: Any) -> None:
    away = Bucket("http://127.0.0.1:1", "any").storage("artifacts", timeout=0.3, attempts=1)
    settings.STORAGES = settings.STORAGES | {"artifacts": away}
    with pytest.raises(StorageUnavailable), stored_artifact(*trained):
        pytest.fail("nothing was stored")


@pytest.mark.parametrize("by", ["content", "run"])
def test_a_machine_that_lacks_it_fetches_it_once(version: ModelVersion, shared: Bucket, settings: Any, by: str) -> None:
    """By its content, or by the name that an earlier release gave it and a restored backup has."""
    put(version, artifact_name(version.artifact_sha256) if by == "content" else version.artifact)
    folder = local_folder(version)
    assert folder == Path(settings.MODEL_PATH) / artifact_name(version.artifact_sha256)
    assert check_artifact(version) == [folder / name for name in FILES]
    assert scoring.load_model(version, "cpu").detector.algorithm == "padim"
    for key in shared.names():
        shared.client().delete_object(Bucket=shared.name, Key=key)
    assert local_folder(version) == folder, "it is here now"


def test_a_folder_that_was_deleted_by_half_is_fetched_again(
    version: ModelVersion, shared: Bucket, settings: Any
) -> None:
    put(version, artifact_name(version.artifact_sha256))
    (local_folder(version) / "manifest.json").unlink()
    assert [path.name for path in check_artifact(version)] == FILES


def test_an_old_folder_is_used_where_it_lies(version: ModelVersion, shared: Bucket) -> None:
    assert local_folder(version) == version.artifact_path
    assert shared.names() == []


@pytest.mark.parametrize("name", FILES)
def test_another_artifact_is_refused_and_not_kept(
    version: ModelVersion, shared: Bucket, settings: Any, name: str
) -> None:
    put(version, artifact_name(version.artifact_sha256))
    key = f"{artifact_name(version.artifact_sha256)}/{name}"
    data = bytearray(storages["artifacts"].open(key).read())
    data[len(data) // 2] ^= 1
    storages["artifacts"].save(key, ContentFile(bytes(data)))
    with pytest.raises(ArtifactFault, match=name):
        local_folder(version)
    with pytest.raises(scoring.ModelUnusable, match=f"cannot be loaded: {name}"):
        scoring.load_model(version, "cpu")
    assert all_files(Path(settings.MODEL_PATH)) == []


def test_what_is_nowhere_is_said_to_be(version: ModelVersion, shared: Bucket) -> None:
    shutil.rmtree(version.artifact_path)
    with pytest.raises(ArtifactFault, match="neither on this machine nor in the storage"):
        check_artifact(version)


def test_a_storage_that_is_away_is_no_fault_of_the_model(version: ModelVersion, settings: Any) -> None:
    shutil.rmtree(version.artifact_path)
    away = Bucket("http://127.0.0.1:1", "any").storage("artifacts", timeout=0.3, attempts=1)
    settings.STORAGES = settings.STORAGES | {"artifacts": away}
    with pytest.raises(StorageUnavailable, match="Nothing was kept"):
        scoring.load_model(version, "cpu")
    assert all_files(Path(settings.MODEL_PATH)) == []


def test_two_at_once_end_with_one_whole_folder(version: ModelVersion, shared: Bucket, settings: Any) -> None:
    put(version, artifact_name(version.artifact_sha256))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: local_folder(version), range(4)))
    assert folders == {Path(settings.MODEL_PATH) / artifact_name(version.artifact_sha256)}
    assert check_artifact(version)
    name = artifact_name(version.artifact_sha256)
    assert all_files(Path(settings.MODEL_PATH)) == [f"{name}/{file}" for file in FILES]
