"""Words that were replaced by plainer ones do not come back on pages, in messages or in the output of commands."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator

from tests.environment import ROOT

# Where people read them: pages, scripts and strings of the code; not comments, nor the text of migrations and models.
BANNED = (
    "a few days shows",
    "with 95 % confidence",
    "from the threshold revision",
    "Keys of this page",
    "The lamp cannot be corrected",
    "Start a worker (make run",
    "Defect, if it is one",
    "What was in force",
    "as it lay",
    "Nobody has reviewed it",
    "What will somebody ask",
    "Look at another value",
    "What they go by",
    "Go by these",
    "In truth",
    "Tick two",
    "Made differently",
    "what v1 judged",
    "at each threshold of then",
    "What became of it",
    "The whole report",
    "Put in force",
    "To learn from",
    "that no model had rejected",
    "without it, ever",
    "Call it off",
    "Called off",
    "Came by",
    "My own acts",
    "As the system has it",
    "What belongs to nobody",
    "but one in so many",
    "See what would go",
    "Not for you",
    "leads nowhere",
    "Our fault",
    "Begin here",
    "These are the oldest",
    "says the model",
    "the model said",
    "stands at its field",
    "one of ours",
    "load the page anew",
    "under way",
    "Whoever runs it",
    "kind of part",
    "kinds of parts",
)
_FOLDERS = (
    *("accounts", "common", "edge", "inspection", "jobs", "modelzoo", "monitoring", "mvtec_site", "quality"),
    *("records", "retention", "rollout", "training"),
)


def _files(*patterns: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split() if (ROOT / name).is_file()]


def _strings(source: str) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(source)
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions:
            yield node.value


def _texts() -> Iterator[tuple[str, str]]:
    for name in _files("templates/*.html"):
        text = (ROOT / name).read_text("utf-8")
        text = re.sub(r"\{#.*?#\}", "", text, flags=re.S)
        yield name, re.sub(r"\s+", " ", text)
    for name in _files("static/js/*.js"):
        yield name, re.sub(r"(?m)^\s*//.*$|^\s*\*.*$", "", (ROOT / name).read_text("utf-8"))
    for name in _files(*(f"{folder}/*.py" for folder in (*_FOLDERS, "tuning"))):
        if "/migrations/" not in name and not name.endswith("models.py"):
            yield name, "\n".join(_strings((ROOT / name).read_text("utf-8")))


def test_no_replaced_words_come_back() -> None:
    banned = re.compile("|".join(rf"\b{re.escape(words)}" for words in BANNED), re.IGNORECASE)
    found = [f"{name}: {match[0]}" for name, text in _texts() for match in banned.finditer(text)]
    assert found == []


def test_percentages_have_a_space_before_their_sign() -> None:
    """On pages: "13.6 %"; CSS, addresses and format codes are no text."""
    found = []
    for name in _files("templates/*.html"):
        text = re.sub(
            r"<style.*?</style>|\{%.*?%\}|[a-z-]+=\"[^\"]*\"", "", (ROOT / name).read_text("utf-8"), flags=re.S
        )
        found += [f"{name}: {match[0]}" for match in re.finditer(r"[0-9}]%", text)]
    assert found == []
