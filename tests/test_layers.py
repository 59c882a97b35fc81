"""The rules of the layout: who may import whom."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.environment import ROOT

# From the roof down. An app may import those on the floors below it, and itself; never a neighbour.
FLOORS = (
    ("mvtec_site",),
    ("reports",),
    ("edge",),
    ("quality",),
    ("rollout",),
    ("tuning", "retention", "monitoring"),
    ("inspection",),
    ("training",),
    ("modelzoo",),
    ("accounts",),
    ("records",),
    ("jobs",),
    ("common",),
)
APPS = [app for floor in FLOORS for app in floor]
# The rooms of an app whose modules do not stand side by side; each app also has what Django looks for by name.
ROOMS = {
    "records": {"assets", "audit", "backup", "storage"},
    "modelzoo": {"detectors", "evaluation", "lifecycle", "loading", "card", "scales", "signatures", "transfer"},
    "training": {"datasets", "runs", "evaluations", "report", "benchmarks"},
    "monitoring": {"drift", "alarms", "reference_parts"},
    "inspection": {
        "judging",
        "batches",
        "history",
        "partitions",
        "record",
        "reviews",
        "line",
        "watching",
        "benchmarks",
        "part_layouts",
        "parts",
    },
    "edge": {
        *("connections", "deliveries", "running", "triggers", "webhooks", "mqtt", "modbus", "opcua"),
        *("cameras", "nodes", "centre"),
        *("passages", "gaps", "benchmarks"),
    },
    "rollout": {"canaries", "challengers"},
    "quality": {"random_audit", "containment", "promises", "review_queue", "measurement_system", "benchmarks"},
    "reports": {"content", "issued", "schedules", "statements"},
}
NOT_ROOMS = {"api", "views", "management", "migrations", "templatetags", "benchmarks", "webserver", "embedded", "web"}
MAX_MODULES = 12  # of a package, side by side
# What a request or a page loads; training, scoring and the commands for them may load torch.
WEB = ("models", "views", "pages", "api", "admin", "urls", "selectors", "documents", "serializers", "forms")


@cache
def modules() -> dict[str, Path]:
    """All modules of the product by their dotted name, without migrations."""
    found = {}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> tuple[tuple[str, bool], ...]:
    """What a module imports, as dotted names, and whether it does so when it is loaded; not what only types need."""
    tree = ast.parse(modules()[module].read_text())
    at_load = {id(node) for node in tree.body}
    for_types = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    left_out = {id(inner) for node in for_types for inner in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in at_load) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append((inner if inner in modules() else node.module, id(node) in at_load))
    return tuple(found)


def app_of(name: str) -> str:
    return name.split(".")[0]


def below(app: str) -> set[str]:
    [floor] = [index for index, apps in enumerate(FLOORS) if app in apps]
    return {name for apps in FLOORS[floor + 1 :] for name in apps}


@cache
def loads_torch(module: str) -> bool:
    """Whether importing a module imports torch, directly or through others of ours."""
    pending, seen = [module], set()
    while pending:
        name = pending.pop()
        if app_of(name) in ("torch", "torchvision"):
            return True
        if name in modules() and name not in seen:
            seen.add(name)
            pending += [imported for imported, at_load in imports(name) if at_load]
    return False


@pytest.mark.parametrize("app", APPS)
def test_imports_point_down(app: str) -> None:
    for module in modules():
        if app_of(module) == app:
            others = {name for name, _ in imports(module) if app_of(name) in APPS} - {app}
            wrong = {name for name in others if app_of(name) not in below(app) | {app}}
            assert not wrong, f"{module} imports {wrong}"


def test_nothing_of_another_app_is_imported_inside_a_function() -> None:
    """But what loads torch, in commands and workers; and by what is loaded before all models are there."""
    for module in modules():
        if module.endswith((".apps", ".celery", ".contender")):
            continue
        for name, at_load in imports(module):
            if at_load or app_of(name) not in APPS or app_of(name) == app_of(module):
                continue
            assert loads_torch(name), f"{module} imports {name} inside a function"


def test_there_is_no_circle() -> None:
    """Among all modules, whatever is imported where."""
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, f"circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in state:
            return
        state[module] = 1
        for name, _ in imports(module):
            if name in modules() and name != module:
                visit(name, (*path, module))
        state[module] = 2

    for module in modules():
        visit(module, ())


@pytest.mark.parametrize("room", ["detectors", "evaluation"])
def test_detectors_know_nothing_of_django(room: str) -> None:
    """Nor of the rest of the product, but for the ground's files and pixels, which know nothing of it either."""
    ground = {"common.files", "common.pixels.sixteen_bit"}
    assert not {app_of(name) for module in ground for name, _ in imports(module)} & {"django", *APPS}
    foreign = {"django", "rest_framework", "celery", *APPS} - {"modelzoo"}
    inside = ("modelzoo.detectors", "modelzoo.evaluation")
    for module in modules():
        if module.startswith(f"modelzoo.{room}"):
            wrong = {name for name, _ in imports(module) if app_of(name) in foreign} - ground
            wrong |= {name for name, _ in imports(module) if app_of(name) == "modelzoo" and not name.startswith(inside)}
            assert not wrong, f"{module} imports {wrong}"


def test_figures_need_no_torch() -> None:
    for module in modules():
        if module.startswith("modelzoo.evaluation"):
            assert not loads_torch(module), module


def test_torch_is_imported_in_detectors_alone() -> None:
    for module in modules():
        if not module.startswith("modelzoo.detectors") and ".benchmarks." not in module:
            found = {name for name, _ in imports(module) if app_of(name) in ("torch", "torchvision")}
            assert not found, f"{module} imports {found}"


def test_web_code_does_not_load_torch() -> None:
    for module in modules():
        if not module.startswith("modelzoo.detectors") and set(module.split(".")) & set(WEB):
            assert not loads_torch(module), module


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


@pytest.mark.parametrize("app", ROOMS)
def test_apps_have_their_rooms(app: str) -> None:
    packages = {path.parent.name for path in (ROOT / app).glob("*/__init__.py")}
    assert packages - NOT_ROOMS == ROOMS[app] - NOT_ROOMS
    for room in ROOMS[app]:
        words = ast.get_docstring(ast.parse((ROOT / app / room / "__init__.py").read_text()))
        assert words or room == "benchmarks", f"{app}/{room} does not say what it is"


def test_no_package_has_more_than_a_dozen_modules_side_by_side() -> None:
    for package in {path.parent for path in modules().values()}:
        found = [path for path in package.glob("*.py") if path.name != "__init__.py"]
        assert len(found) <= MAX_MODULES, f"{package.relative_to(ROOT)}: {len(found)}"


def test_models_of_rooms_are_listed_by_their_app() -> None:
    """Django looks for an app's models there; all others import them from there."""
    for app in ("records", "training", "inspection", "quality", "rollout", "reports", "edge"):
        listed = {name for name, _ in imports(f"{app}.models") if name in modules()}
        assert listed == {name for name in modules() if re.fullmatch(rf"{app}\.\w+\.models", name)}


def test_every_command_is_tested() -> None:
    """A command without a test that calls it by name is a command nobody has run."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for path in ROOT.glob("*/management/commands/*.py"):
        if path.stem != "__init__":
            assert f'"{path.stem}"' in tests, f"no test calls {path.stem}"


def test_no_pickle() -> None:
    for module, path in modules().items():
        text = path.read_text()
        assert "import pickle" not in text, module
        for line in text.splitlines():
            loads = re.search(r"(?<!safetensors\.)torch\.load\(", line)
            assert not loads or "weights_only=True" in line, f"{path}: {line}"
