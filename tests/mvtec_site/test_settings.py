"""Settings come from the environment; what is wrong is said in one sentence that names the variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from mvtec_site.env import Environment
from tests.environment import ROOT


def manage(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGE_SIZE", "abc"),
        ("IMAGE_SIZE", "-5"),
        ("BATCH_SIZE", "0"),
        ("LEARNING_RATE", "nan"),
        ("EPOCHS", "1.5"),
        ("LATENT_DIM", "1e9"),
        ("THRESHOLD_PERCENTILE", "101"),
        ("MAX_FILE_SIZE", "lots"),
        ("ALLOWED_EXTENSIONS", "png,exe"),
        ("DEVICE", "tpu"),
        ("DEBUG", "maybe"),
        ("DATABASE_URL", "mysql://x/y"),
        ("REDIS_URL", "localhost"),
        ("SIXTEEN_BIT", "guess"),
    ],
)
def test_a_wrong_value_stops_the_start_with_a_sentence(name: str, value: str) -> None:
    done = manage("check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_defaults_are_those_of_the_original_system() -> None:
    shown = json.loads(manage("show_config", "--json").stdout)
    expected = {
        "IMAGE_SIZE": 256,
        "BATCH_SIZE": 16,
        "LEARNING_RATE": 1e-4,
        "EPOCHS": 50,
        "LATENT_DIM": 512,
        "THRESHOLD_PERCENTILE": 90.0,
        "MAX_FILE_SIZE": 16 * 1024 * 1024,
        "ALLOWED_EXTENSIONS": ["png", "jpg", "jpeg"],
        "DEVICE": "auto",
    }
    assert {name: shown[name]["value"] for name in expected} == expected
    assert {shown[name]["source"] for name in expected} == {"default"}


@pytest.mark.slow
def test_show_config_tells_the_source_and_hides_secrets() -> None:
    done = manage("show_config", "--json", IMAGE_SIZE="128", SECRET_KEY="not-for-your-eyes")
    shown = json.loads(done.stdout)
    assert shown["IMAGE_SIZE"] | {"help": ""} == {"value": 128, "source": "environment", "help": ""}
    assert "not-for-your-eyes" not in done.stdout


@pytest.mark.slow
def test_production_settings_pass_the_deployment_check() -> None:
    done = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        HTTPS="1",
        SECRET_KEY="k" * 40 + "0123456789abcdefghij",
        ALLOWED_HOSTS="inspection.example",
        DATABASE_URL="postgresql://u:p@localhost/db",
        REDIS_URL="redis://localhost:6379/0",
    )
    assert done.returncode == 0, done.stderr


def test_a_var_dir_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for command in (["check"], ["import_dataset", str(tmp_path)], ["run"]):
        done = manage(*command, VAR_DIR=str(blocked / "var"))
        assert done.returncode != 0
        assert "VAR_DIR" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    for _ in range(2):
        assert manage("check", VAR_DIR=str(tmp_path)).returncode == 0
    key = tmp_path / "secret_key"
    assert len(key.read_text()) > 60
    assert key.stat().st_mode & 0o077 == 0


def test_an_empty_variable_counts_as_unset() -> None:
    assert Environment({"X": ""}).integer("X", 3, "", low=1, high=5) == 3


def test_secrets_are_not_repeated_in_errors() -> None:
    environment = Environment({"TOKEN": "hush"})

    def refuse(raw: str) -> str:
        raise ValueError("is not right")

    with pytest.raises(ImproperlyConfigured) as caught:
        environment._read("TOKEN", "", refuse, "", secret=True)
    assert "hush" not in str(caught.value)
