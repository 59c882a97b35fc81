"""Fixtures for everybody. What each test stands on is real: database, files, detector; see tests/stack for the rest."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import translation
from hypothesis import HealthCheck, settings
from PIL import Image
from pytest_django.plugin import blocking_manager_key

from tests import parts
from tests.environment import SHARED
from tests.tasks import run_now
from tests.triggers import without_any_triggers

# No test fails because a machine was slow, those that make up their input neither.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}

# What runs on PostgreSQL too is what can come out differently there: locks and who waits for whom, triggers and
# constraints, raw SQL, text search, what a column refuses. Services and commands write; the API and the client filter
# and sort by what callers send; tests/mvtec_site/test_pages.py opens every page. Elsewhere it is the same code on the
# same queries: pages are made from what services and selectors return, detectors know no database, a browser sees HTML
# alone, and of the running system only what ends in a lock or a lease differs. A single test is marked where it is
# otherwise: `sqlite_is_enough` and `postgresql_too` (which a test without Django's database needs).
_SQLITE_IS_ENOUGH = ("e2e/", "stack/", "modelzoo/detectors/", "test_pages.py")

# In which order they are begun: what takes long and waits for others first, so that at the end nobody waits for it.
_FIRST = ("e2e/", "stack/", "modelzoo/detectors/", "test_commands.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Processes that share the work take whole files; all browser tests that share one running system are one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            shares = file.startswith("tests/e2e/") and "test_line_faults" not in file
            return "e2e" if shares else file

    return Scheduling(config, log)


def _is_of(item: pytest.Item, kind: str) -> bool:
    """Whether a test is in a folder ("stack/") or in a file of this name ("test_pages.py"), wherever that is."""
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    return place.startswith(kind) if kind.endswith("/") else item.path.name == kind


def _is_for_postgresql(item: pytest.Item) -> bool:
    if item.get_closest_marker("sqlite_is_enough"):
        return False
    if item.get_closest_marker("postgresql_too"):
        return True
    return bool(item.get_closest_marker("database")) and not any(_is_of(item, kind) for kind in _SQLITE_IS_ENOUGH)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("django_db") or _DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")
        if _is_of(item, "e2e/") or item.get_closest_marker("stack"):
            # Real processes and browsers now and then meet in an order that the test did not foresee. One second try;
            # the summary names every test that needed it (RERUN), and each of these is a test or product to mend.
            item.add_marker(pytest.mark.flaky(reruns=1))
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    if config.getoption("--database") == "postgresql":
        config.hook.pytest_deselected(items=[item for item in items if not _is_for_postgresql(item)])
        items[:] = [item for item in items if _is_for_postgresql(item)]
    if config.getoption("numprocesses", None) or "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: next((i for i, kind in enumerate(_FIRST) if _is_of(item, kind)), len(_FIRST)))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the development data folder ../shared is not here")
    return SHARED


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """The migrations run once for all processes: a test database begins as a copy, and has nothing left to migrate."""
    from tests.stack.conftest import migrated

    template = migrated()
    if connection.vendor == "postgresql":
        connection.settings_dict["TEST"]["TEMPLATE"] = urlsplit(template.database).path.strip("/")
        yield
        return
    # In memory for as long as somebody is connected to it.
    with closing(sqlite3.connect(connection.creation._get_test_db_name(), uri=True)) as memory:  # type: ignore[attr-defined]  # of the SQLite backend
        with closing(sqlite3.connect(Path(template.var_dir) / "db.sqlite3")) as file:
            file.backup(memory)
        yield


@pytest.fixture(scope="session", autouse=True)
def _emptied_in_spite_of_triggers() -> Iterator[None]:
    """After a test that really commits, Django empties every table; those that are append-only refuse."""
    empty = connection.ops.execute_sql_flush

    def execute_sql_flush(statements: list[str]) -> None:
        with without_any_triggers():
            empty(statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.ops, "execute_sql_flush", execute_sql_flush)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """On PostgreSQL, rows that a test committed would be there for all tests after it: they go, and it is named.

    What threads write is committed at once, whatever becomes of the test's own transaction.
    """
    yield
    if connection.vendor != "postgresql" or nextitem is None or not item.get_closest_marker("database"):
        return
    from records.models import Asset

    with item.config.stash[blocking_manager_key].unblock():
        if Asset.objects.exists():
            warnings.warn(f"{item.nodeid} left rows behind in the database; they were removed.", stacklevel=1)
            call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Any) -> None:
    """Files of one test never meet another's."""
    settings.MODEL_PATH = tmp_path / "artifacts"
    settings.STORAGES = settings.STORAGES | {
        "default": settings.STORAGES["default"] | {"OPTIONS": {"location": tmp_path / "media"}},
        "artifacts": settings.STORAGES["artifacts"] | {"OPTIONS": {"location": tmp_path / "artifacts"}},
    }


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """Half a second for each password would be most of the suite's time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def person(name: str, *roles: str) -> User:
    """A user with roles. The groups are made where a test that emptied the database took them away."""
    user = User.objects.create_user(name, password="a-long-password")
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    return user


@pytest.fixture
def shared_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """On SQLite a file, as in production: connections to a database in memory do not wait for each other."""
    if connection.vendor != "sqlite":
        yield
        return
    path = tmp_path / "races.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(path)])
    in_memory, name = connection.connection, connection.settings_dict["NAME"]
    connection.connection, connection.settings_dict["NAME"] = None, str(path)
    try:
        yield
    finally:
        connection.close()
        connection.connection, connection.settings_dict["NAME"] = in_memory, name


@pytest.fixture
def user(db: None) -> User:
    """An engineer: may do what the tests of the line, of models and of training do."""
    return person("olga", "engineer")


@pytest.fixture
def operator(db: None) -> User:
    return person("otto", "operator")


@pytest.fixture
def auditor(db: None) -> User:
    return person("audrey", "auditor")


@pytest.fixture
def administrator(db: None) -> User:
    return person("ada", "admin")


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create_superuser("admin", password="a-long-password")


@pytest.fixture
def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(scope="session")
def trained_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PaDiM that was really fitted on made-up parts, as an artifact; shared by all tests, copied by `version`."""
    from modelzoo.detectors import artifacts, registry
    from modelzoo.detectors.image_source import FileImageSource
    from records.assets.images import UploadLimits, open_rgb

    root = parts.write_dataset(tmp_path_factory.mktemp("parts") / "disc", good=0, bad=0)
    detector = registry.create("padim", backbone="efficientnet_lite0", image_size=64, n_features=20, device="cpu")
    files = sorted((root / "train" / "good").glob("*.png"))
    source = FileImageSource(files, detector.preprocessing, open_image=lambda path: open_rgb(path, UploadLimits()))
    detector.fit(source)
    target = tmp_path_factory.mktemp("artifact") / "padim"
    artifacts.save(detector, target, metadata={})
    return target


@pytest.fixture(scope="session")
def trained_detector(trained_artifact: Path) -> Any:
    """What is said of itself by the detector in the artifact. Nobody scores with it."""
    from modelzoo.detectors import artifacts

    return artifacts.load(trained_artifact)


@pytest.fixture
def version(db: None, trained_artifact: Path, trained_detector: Any) -> Any:
    """A registered model version with its first threshold."""
    import hashlib

    from modelzoo.services import ensure_category, register_version, set_threshold

    target = Path(django_settings.MODEL_PATH) / "disc" / "run-0-1"
    shutil.copytree(trained_artifact, target)
    manifest = (target / "manifest.json").read_bytes()
    held_out = [float(score) for score in trained_detector.held_out_scores]
    backbone = trained_detector.backbone_info
    assert backbone
    made = register_version(
        category=ensure_category(name="disc"),
        actor=None,
        algorithm="padim",
        artifact="disc/run-0-1",
        artifact_sha256=hashlib.sha256(manifest).hexdigest(),
        artifact_bytes=sum(file.stat().st_size for file in target.iterdir()),
        config=trained_detector.describe()["config"],
        backbone=backbone["name"],
        backbone_sha256=backbone["sha256"],
        dataset_name="disc",
        dataset_snapshot="0" * 64,
        seed=0,
        versions={},
        held_out_scores=held_out,
    )
    set_threshold(version=made, value=max(held_out) * 1.2, method="percentile", reason="test", actor=None)
    return made


@pytest.fixture
def deployment(version: Any) -> Any:
    """The version in force, as if a worker had loaded it."""
    from modelzoo.services import activate, request_deployment

    asked = request_deployment(version=version, device="cpu", actor=None)
    assert activate(deployment=asked, device="cpu", worker="test")
    asked.refresh_from_db()
    return asked


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside this process: what would be sent to the broker is done at once."""

    from jobs import broker

    monkeypatch.setattr(broker, "publish", run_now)
    monkeypatch.setattr(broker, "live_workers", lambda: {"here": ["inference"]})
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A picture without a part, which every detector refuses to compare, as pose alignment does."""
    from modelzoo.detectors.base import Detector
    from modelzoo.detectors.errors import NotComparable

    real = Detector.prepare

    def prepare(self: Detector, image: Image.Image, rules: Any = None) -> Any:
        if not np.ptp(np.asarray(image), axis=(0, 1)).any():
            raise NotComparable("no_part_found", "No part can be separated from the background.")
        return real(self, image, rules)

    monkeypatch.setattr(Detector, "prepare", prepare)
    return parts.encode(Image.new("RGB", (parts.SIDE, parts.SIDE), (40, 42, 45)))


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    return parts.write_dataset(tmp_path / "disc")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """No test may profit from a model, a figure or a language that another one left in memory."""
    yield
    from modelzoo.loading import scoring

    scoring.unload_models()
    cache.clear()
    translation.deactivate()


@pytest.fixture
def lease_renewed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run inside the test's own transaction, which no other connection can see into: its lease is renewed at the end
    only. tests/stack renew it from its thread, as in production."""
    from jobs.heartbeat import Heartbeat

    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)
