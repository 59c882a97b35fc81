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
        ("S3_ACCESS_KEY", "without-a-secret"),
        ("S3_ENDPOINT", "minio:9000"),
        ("WARM_MODELS_MIB", "-1"),
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
@pytest.mark.parametrize("secret", ["variable", "file"])
def test_production_settings_pass_the_deployment_check(tmp_path: Path, secret: str) -> None:
    key = "k" * 40 + "0123456789abcdefghij"
    (tmp_path / "key").write_text(key)
    done = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        **({"SECRET_KEY": key} if secret == "variable" else {"SECRET_KEY_FILE": str(tmp_path / "key")}),
        HTTPS="1",
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


@pytest.mark.parametrize("content", ["hush", "hush\n", "hush\r\n", "  hush \n\n"])
def test_a_secret_comes_from_the_file_that_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content.encode())
    environment = Environment({"TOKEN_FILE": str(path)})
    assert environment.text("TOKEN", "", "", secret=True) == "hush"
    assert environment.entries["TOKEN"].source == "file"


def test_what_is_no_secret_comes_from_no_file(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("x")
    assert Environment({"NAME_FILE": str(tmp_path / "value")}).text("NAME", "usual", "") == "usual"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory"),
        (b"", "nothing else"),
        (b" \n", "nothing else"),
        (b"\xff\xfe", "it is no text"),
        (b"a" * 70_000, "nothing else"),
    ],
)
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=r"^TOKEN_FILE must name a file .*") as caught:
        Environment({"TOKEN_FILE": str(path)}).text("TOKEN", "", "", secret=True)
    assert sentence in str(caught.value)


def test_a_folder_is_no_file_with_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="TOKEN_FILE must name a file that can be read"):
        Environment({"TOKEN_FILE": str(tmp_path)}).text("TOKEN", "", "", secret=True)


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    environment = Environment({"TOKEN": "hush", "TOKEN_FILE": str(tmp_path / "secret")})
    with pytest.raises(ImproperlyConfigured, match="TOKEN and TOKEN_FILE are both set") as caught:
        environment.text("TOKEN", "", "", secret=True)
    assert "hush" not in str(caught.value)


@pytest.mark.slow
def test_a_secret_in_a_file_passes_as_one_in_a_variable(tmp_path: Path) -> None:
    """For all secrets at once; what the file holds is shown nowhere."""
    for name, text in {"SECRET_KEY": "k" * 60, "DATABASE_PASSWORD": "p@ss/word"}.items():
        (tmp_path / name).write_text(f"{text}\n")
    done = manage(
        *("show_config", "--json"),
        SECRET_KEY_FILE=str(tmp_path / "SECRET_KEY"),
        DATABASE_URL="postgresql://mvtec@database:5432/mvtec",
        DATABASE_PASSWORD_FILE=str(tmp_path / "DATABASE_PASSWORD"),
    )
    shown = json.loads(done.stdout)
    assert {shown[name]["source"] for name in ("SECRET_KEY", "DATABASE_PASSWORD")} == {"file"}
    assert {shown[name]["value"] for name in ("SECRET_KEY", "DATABASE_PASSWORD")} == {"(set, not shown)"}
    script = "from django.conf import settings as s; print(s.SECRET_KEY, s.DATABASES['default']['PASSWORD'])"
    done = manage(
        *("shell", "-v0", "-c", script),
        SECRET_KEY_FILE=str(tmp_path / "SECRET_KEY"),
        DATABASE_URL="postgresql://mvtec@database:5432/mvtec",
        DATABASE_PASSWORD_FILE=str(tmp_path / "DATABASE_PASSWORD"),
    )
    assert done.stdout.split() == ["k" * 60, "p@ss/word"]
    twice = manage("check", DATABASE_URL="postgresql://mvtec:a@database/mvtec", DATABASE_PASSWORD="b")
    assert "give one of the two" in twice.stderr
    assert twice.returncode != 0


def test_secrets_are_not_repeated_in_errors() -> None:
    environment = Environment({"TOKEN": "hush"})

    def refuse(raw: str) -> str:
        raise ValueError("is not right")

    with pytest.raises(ImproperlyConfigured) as caught:
        environment._read("TOKEN", "", refuse, "", secret=True)
    assert "hush" not in str(caught.value)
