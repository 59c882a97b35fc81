"""What is written in two files says the same in both: version, requirements and lock files, checks."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from common.version import VERSION
from tests.environment import ROOT

REQUIREMENTS = (
    *("requirements", "requirements-demo", "requirements-accelerators", "requirements-opentelemetry"),
    "requirements-edge",
    "requirements-dev",
)


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def required(name: str) -> list[Requirement]:
    """What a requirements file asks for, with what the files that it includes ask for."""
    found: list[Requirement] = []
    for line in text(f"{name}.txt").splitlines():
        bare = line.partition("#")[0].strip()
        if bare.startswith("-r "):
            found += required(bare.removeprefix("-r ").removesuffix(".txt"))
        elif bare:
            found.append(Requirement(bare))
    return found


def locked(name: str) -> dict[str, set[Version]]:
    """By package; another Python or another platform may have another version."""
    found: dict[str, set[Version]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", text(f"{name}.lock"), re.M):
        found.setdefault(package, set()).add(Version(version))
    return found


def test_the_version_of_the_product_stands_in_one_place():
    assert tomllib.loads(text("pyproject.toml"))["project"]["version"] == VERSION
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    named = re.compile(rf"(?i)version\W{{1,8}}{re.escape(VERSION)}\b")
    code = [name for name in listed if name.endswith((".py", ".toml", ".yml", ".html", ".js")) or name == "Dockerfile"]
    assert [name for name in code if (ROOT / name).is_file() and named.search(text(name))] == ["pyproject.toml"]


def test_the_changelog_has_the_release_and_what_comes_after_it():
    sections = re.findall(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text("CHANGELOG.md"), re.M)
    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == VERSION
    assert all(date for _, date in sections[1:])


def test_the_clients_version_is_that_of_the_api(settings):
    client = tomllib.loads(text("clients/python/pyproject.toml"))["project"]["version"]
    assert client == settings.SPECTACULAR_SETTINGS["VERSION"]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_in_the_lock_file_and_says_why_it_is_there(name):
    pins = locked(name)
    for requirement in required(name):
        versions = pins[requirement.name.lower().replace("_", "-")]
        assert all(version in requirement.specifier for version in versions), f"{requirement}: run `make lock`"
    for line in text(f"{name}.txt").splitlines():
        assert line.startswith(("#", "-r ")) or "  # " in line, f"without a reason: {line}"


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_lock_files_agree_have_hashes_and_name_no_index(name):
    everything = locked("requirements-dev")
    assert all(versions == everything[package] for package, versions in locked(name).items())
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text(f"{name}.lock"), flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|--index|--find-links|file:", text(f"{name}.lock"))


def test_pre_commit_runs_what_lint_runs():
    recipe = text("Makefile").partition("\nlint:")[2].partition("\n\n")[0].splitlines()[1:]
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe]
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in hooks)


def test_help_names_every_target():
    targets = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.M)
    assert targets
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([a-z-]+)", shown, re.M)) == set(targets[1].split())


def test_every_page_of_documentation_is_in_the_index():
    index = text("docs/index.md")
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "adr").glob("*.md")]
    names = [str(page.relative_to(ROOT / "docs")) for page in pages if page.name != "index.md"]
    assert [name for name in names if f"]({name})" not in index] == []


def test_what_the_architecture_names_is_there():
    """Paths in backticks exist; a name in parentheses behind a path stands in that file."""
    missing = []
    for path, name in re.findall(r"`([\w.-]+/[\w./-]*)`(?: \(`(\w+)`\))?", text("docs/architecture.md")):
        if "." in path and not ((ROOT / path).is_file() and name in text(path)):
            missing.append((path, name))
    assert missing == []
