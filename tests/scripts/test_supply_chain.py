"""The bill of materials is valid and names what is locked; the audit tells flaws, and what it could not look up."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.environment import ROOT

pytestmark = pytest.mark.slow
LOCKED = dict(re.findall(r"^([a-zA-Z0-9._-]+)==([^ \\]+)", (ROOT / "requirements.lock").read_text(), re.M))


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/supply_chain.py", "--output", str(tmp_path / "dist"), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@contextmanager
def database(answer: Callable[[str], dict[str, Any]]) -> Iterator[str]:
    """A vulnerability database on loopback that speaks as OSV does; `answer` gives the flaws of a package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(query["package"]["name"])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def test_without_a_network_the_bill_is_written_and_the_audit_says_that_there_was_none(tmp_path: Path) -> None:
    nobody = ("--osv-url", "http://127.0.0.1:9/v1/query")
    done = run(tmp_path, *nobody)
    assert done.returncode == 0, done.stderr
    assert "NOT AUDITED: all packages" in done.stdout

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [path] = (tmp_path / "dist").iterdir()
    assert path.name == f"{project['name']}-{project['version']}.cdx.json"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text()) is None
    bill = json.loads(path.read_text())
    component = bill["metadata"]["component"]
    assert (component["name"], component["version"]) == (project["name"], project["version"])
    assert {one["name"]: one["version"] for one in bill["components"]} == LOCKED
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])


def test_a_release_is_not_made_without_an_audit(tmp_path: Path) -> None:
    assert run(tmp_path, "--osv-url", "http://127.0.0.1:9/v1/query", "--strict").returncode == 1


def test_a_known_vulnerability_fails_the_audit(tmp_path: Path) -> None:
    flaw = {
        "id": "OSV-2026-1",
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"name": "pillow", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
            }
        ],
    }
    with database(lambda name: {"vulns": [flaw]} if name == "pillow" else {}) as address:
        done = run(tmp_path, "--osv-url", address, "--strict")
    assert done.returncode == 1
    assert f"pillow {LOCKED['pillow']}: OSV-2026-1 (mended in 99.1)" in done.stdout
    assert re.search(r"^(\d+) of \1 packages audited, 1 known", done.stdout, re.M), done.stdout
