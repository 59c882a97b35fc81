"""docker-compose.yml and the Dockerfile, by parsing; its commands, by running them against the real services."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environment import ROOT


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def test_the_original_systems_services_are_there(compose: dict[str, Any]) -> None:
    assert {"training-service", "inference-api", "web-interface", "database", "redis"} <= set(compose["services"])


def test_gpu_workers_ask_for_the_nvidia_runtime(compose: dict[str, Any]) -> None:
    for name in ("training-service", "inference-worker"):
        service = compose["services"][name]
        assert service["runtime"] == "nvidia"
        device = service["deploy"]["resources"]["reservations"]["devices"][0]
        assert device["capabilities"] == ["gpu"]


def test_state_and_services_are_named(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"], f"{name}: {volume}"
        for needed in service.get("depends_on", {}):
            assert needed in compose["services"]
        assert set(service["networks"]) <= set(compose["networks"])
    assert compose["networks"]["internal"]["internal"] is True
    for name in ("database", "redis", "inference-worker", "training-service"):
        assert compose["services"][name]["networks"] == ["internal"]
        assert "ports" not in compose["services"][name]


def test_every_environment_variable_is_a_setting(compose: dict[str, Any]) -> None:
    from django.conf import settings

    known = set(settings.ENV.entries) | {"BACKBONE_WEIGHTS_DIR"}
    for name in ("web-interface", "training-service", "inference-worker"):
        assert set(compose["services"][name]["environment"]) <= known


def test_what_an_installation_tunes_is_passed_through(compose: dict[str, Any]) -> None:
    from django.conf import settings

    environment = compose["services"]["web-interface"]["environment"]
    offered = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    tuned = [name for name in settings.ENV.entries if name.startswith(("THROTTLE_", "LOGIN_", "WEB_"))]
    tuned += ["RETENTION_HOUR", "ORPHAN_DAYS", "BATCH_ROOTS", "AUDIT_CHECKPOINT_DIR"]
    assert len(tuned) == 27
    for name in tuned:
        usual = 2 if name == "WEB_PROCESSES" else settings.ENV.entries[name].default
        said = str(int(usual) if usual == int(usual) else usual) if isinstance(usual, int | float) else ""
        assert environment[name] == f"${{{name}:-{said}}}"
        assert offered[name] == said


def test_workers_and_scheduler_are_asked_for_signs_of_life(compose: dict[str, Any]) -> None:
    """Docker starts again what exits, not what is unhealthy: so what hangs is ended, which process 1 cannot be."""
    for name, sign in {
        "inference-worker": "worker:inference@{host}",
        "training-service": "worker:training@{host}",
        "scheduler": "scheduler",
    }.items():
        service = compose["services"][name]
        assert service["init"] is True
        assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "mvtec_site.healthcheck", sign]
        if "-n" in service["command"]:
            assert service["command"][service["command"].index("-n") + 1] == sign.removeprefix("worker:").replace(
                "{host}", "%h"
            )


def test_what_is_kept_is_kept_in_a_volume(compose: dict[str, Any]) -> None:
    """The scheduler's memory, or a restart a day would mean no daily checkpoint; and checkpoints, kept elsewhere."""
    command = compose["services"]["scheduler"]["command"]
    schedule = Path(command[command.index("--schedule") + 1])
    mounts = [Path(volume.split(":")[1]) for volume in compose["services"]["scheduler"]["volumes"]]
    assert schedule.parent in mounts
    for name in ("web-interface", "inference-api", "training-service"):
        assert "checkpoints:/checkpoints" in compose["services"][name]["volumes"], "whoever may make a checkpoint"


def test_secrets_have_no_default(compose: dict[str, Any]) -> None:
    environment = compose["services"]["web-interface"]["environment"]
    assert environment["SECRET_KEY"].startswith("${SECRET_KEY:?")
    assert "POSTGRES_PASSWORD:?" in environment["DATABASE_URL"]


@pytest.mark.skipif(not shutil.which("docker"), reason="no docker client here")
def test_docker_understands_the_files() -> None:
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "SECRET_KEY": "x", "POSTGRES_PASSWORD": "y"}
    probe = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if probe.returncode:
        pytest.skip("the docker client has no compose plugin")
    for files in (["-f", "docker-compose.yml"], ["-f", "docker-compose.yml", "-f", "docker-compose.cpu.yml"]):
        done = subprocess.run(
            ["docker", "compose", *files, "config", "-q"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_the_dockerfile_copies_what_it_runs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.11", text, re.M)
    assert "USER mvtec" in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "var", ".venv"} <= set(ignored)


def test_the_commands_name_what_exists(compose: dict[str, Any]) -> None:
    scripts = Path(sys.executable).parent
    for name in ("web-interface", "inference-api", "inference-worker", "training-service", "scheduler", "migrate"):
        program = compose["services"][name]["command"][0]
        assert (scripts / program).exists(), f"{name}: {program}"
