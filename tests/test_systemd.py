"""The systemd units: as systemd itself reads them, and that they start what docker-compose.yml starts (tests/stack)."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import ROOT
from tests.test_compose import config

UNITS = ROOT / "deploy" / "systemd"
INSTALLED = "/opt/mvtec-inspection/.venv/bin/"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
STARTS = {
    "mvtec-web.service": "web-interface",
    "mvtec-inference@.service": "inference-worker",
    "mvtec-training.service": "training-service",
    "mvtec-scheduler.service": "scheduler",
    "mvtec-connections.service": "connections",
    "mvtec-watcher@.service": "folder-watcher",
}

EDGE = "mvtec-edge.service"  # everything in one, on a PC of its own: `manage.py edge`


def read(name: str) -> dict[str, list[str]]:
    """The lines of a unit by their key; the same key may come more than once."""
    lines = re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(), re.M)
    return {key: [value for other, value in lines if other == key] for key, _ in lines}


def test_there_is_a_unit_for_whatever_runs_on_in_compose() -> None:
    assert set(SERVICES) == {*STARTS, EDGE}
    ours = {name for name, service in config("cpu", "watcher")["services"].items() if "build" in service}
    # The API has a service of its own in compose to be scaled; migrations are a command of the person who upgrades.
    assert set(STARTS.values()) == ours - {"inference-api", "migrate"}


def test_the_unit_of_an_edge_node_starts_all_of_it() -> None:
    assert read(EDGE)["ExecStart"] == [f"{INSTALLED}python manage.py edge"]


@pytest.mark.parametrize("name", STARTS)
def test_a_unit_starts_what_compose_starts(name: str) -> None:
    [line] = read(name)["ExecStart"]
    words = shlex.split(line.replace("%%h", "%h"))
    assert words[0].startswith(INSTALLED)
    expected = config("cpu", "watcher")["services"][STARTS[name]]["command"]
    ours = {
        "0.0.0.0:8000": "${WEB_BIND}",
        "inference@%h": "inference-%i@%h",
        "/var/lib/mvtec/beat": "/var/lib/mvtec-inspection/beat",
        "/camera": "${WATCH_FOLDER}",
        "camera": "${WATCH_STATION}",
    }
    assert [words[0].removeprefix(INSTALLED), *words[1:]] == [ours.get(word, word) for word in expected]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_write_to_the_state_alone_and_gains_no_right(name: str) -> None:
    unit = read(name)
    assert unit["User"] == ["mvtec"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["StateDirectory"] == ["mvtec-inspection"]
    assert unit["UMask"] == ["0077"]
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID", "ProtectKernelModules"):
        assert unit[key] == ["yes"], key
    assert {"MemoryMax", "TasksMax", "TimeoutStopSec"} <= set(unit)
    assert unit["Restart"] == ["always"]


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_credentials(name: str) -> None:
    from django.conf import settings

    unit = read(name)
    loaded = {line.split(":")[0] for line in unit["LoadCredential"]}
    variables = dict(pair.split("=", 1) for line in unit["Environment"] for pair in line.split(" "))
    files = {key.removesuffix("_FILE"): value for key, value in variables.items() if key.endswith("_FILE")}
    assert set(files) <= {entry.name for entry in settings.ENV.entries.values() if entry.secret}
    assert {value.removeprefix("%d/") for value in files.values()} == loaded


@pytest.mark.parametrize("name", SERVICES)
def test_units_say_each_thing_once(name: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys of units have capitals
    parser.read(UNITS / name)
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert parser["Install"]["WantedBy"] == parser["Unit"]["PartOf"] == "mvtec-inspection.target"
    may_repeat = {"Environment", "EnvironmentFile", "LoadCredential"}
    assert {key for key, values in read(name).items() if len(values) > 1} <= may_repeat


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not here")
    names = []
    for path in UNITS.iterdir():
        name = path.name.replace("@.", "@0.")
        # It looks for the programs: they are those of this environment.
        (tmp_path / name).write_text(path.read_text().replace(INSTALLED, f"{Path(sys.executable).parent}/"))
        names.append(str(tmp_path / name))
    assert len(names) == len(SERVICES) + 1
    done = subprocess.run([program, "verify", "--man=no", *names], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "mvtec" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
