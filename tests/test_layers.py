"""The rules of the layout: who may import whom."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import ROOT

APPS = ("records", "accounts", "modelzoo", "training", "inspection", "tuning", "retention")
# An app may import those to its left, itself and mvtec_site.
ORDER = {name: set(APPS[: index + 1]) for index, name in enumerate(APPS)}
ORDER["records"] = {"records"}
ORDER["accounts"] = {"records", "accounts"}
WEB = ("models.py", "views.py", "admin.py", "urls.py", "selectors.py", "services.py")


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports; `top_level_only` leaves out those inside functions and TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize("path", files_of("modelzoo/detectors"), ids=lambda p: p.name)
def test_detectors_know_nothing_of_django(path: Path) -> None:
    foreign = {"django", "rest_framework", "celery", *APPS, "mvtec_site"} - {"modelzoo"}
    found = {name for name in imported(path) if name.split(".")[0] in foreign}
    assert not found
    assert not {n for n in imported(path) if n.startswith("modelzoo.") and not n.startswith("modelzoo.detectors")}


@pytest.mark.parametrize("app", APPS)
def test_dependencies_point_one_way(app: str) -> None:
    for path in files_of(app):
        found = {name.split(".")[0] for name in imported(path)} & set(APPS)
        assert found <= ORDER[app], f"{path.relative_to(ROOT)} imports {found - ORDER[app]}"


@pytest.mark.parametrize("app", [*APPS, "mvtec_site"])
def test_web_code_does_not_import_torch(app: str) -> None:
    for path in files_of(app):
        if path.name not in WEB and not {"api", "views"} & set(path.parts):
            continue
        found = {n for n in imported(path, top_level_only=True) if n.split(".")[0] in ("torch", "torchvision")}
        found |= {n for n in imported(path, top_level_only=True) if n.startswith("modelzoo.detectors")}
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


@pytest.mark.parametrize("command", ["check", "showmigrations", "show_config"])
def test_commands_that_need_no_torch_do_not_load_it(command: str) -> None:
    script = (
        "import sys; from django.core.management import execute_from_command_line as run;"
        f"run(['manage.py', {command!r}]); assert 'torch' not in sys.modules, 'torch was imported'"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "mvtec_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_web_process_does_not_load_torch() -> None:
    script = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'mvtec_site.settings';"
        "import mvtec_site.wsgi; from django.urls import get_resolver; get_resolver().url_patterns;"
        "import inspection.tasks, training.tasks; assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_app_has_the_same_rooms() -> None:
    for app in ("modelzoo", "training"):
        for room in ("models.py", "services.py", "selectors.py", "admin.py", "migrations"):
            assert (ROOT / app / room).exists(), f"{app}/{room}"


def test_every_command_is_tested() -> None:
    """A command without a test that calls it by name is a command nobody has run."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for path in ROOT.glob("*/management/commands/*.py"):
        if path.stem != "__init__":
            assert f'"{path.stem}"' in tests, f"no test calls {path.stem}"


def test_no_pickle() -> None:
    for folder in (*APPS, "mvtec_site"):
        for path in files_of(folder):
            text = path.read_text()
            assert "import pickle" not in text
            for line in text.splitlines():
                loads = re.search(r"(?<!safetensors\.)torch\.load\(", line)
                assert not loads or "weights_only=True" in line, f"{path}: {line}"
