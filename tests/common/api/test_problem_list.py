"""The list of problems: complete, true of the errors in the code, and to be read at the address that answers name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from rest_framework import exceptions

from common.api.problem_list import PROBLEMS
from common.api.problems import document
from common.errors import UserError
from tests.test_layers import modules

# Of the framework, as the API passes them on.
_FRAMEWORK = (
    exceptions.AuthenticationFailed,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.NotAuthenticated,
    exceptions.ParseError,
    exceptions.PermissionDenied,
    exceptions.Throttled,
    exceptions.UnsupportedMediaType,
)
_BY_PLACE = ("Refusal", "response", "document")  # calls whose second argument is a code


def _texts(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))


def _codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from _texts(keyword.value)
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _BY_PLACE and len(node.args) > 1:
                yield from _texts(node.args[1])
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "code":
                    yield from _texts(line.value)
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) >= 3:
            status, code = node.value.elts[:2]  # and a sentence
            yield from _texts(code) if isinstance(getattr(status, "value", None), int) else ()


def test_every_code_in_the_code_is_listed() -> None:
    used = {code for path in modules().values() for code in _codes_in(path)} - {""}
    used |= {error.default_code for error in _FRAMEWORK}
    assert len(used) > 150, "the walk over the code finds them"
    assert used - PROBLEMS.keys() == set()


def _all(kind: type[UserError]) -> Iterator[type[UserError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _all(inner)


def test_statuses_are_those_of_the_errors() -> None:
    told = {(kind.code, int(kind.status)) for kind in _all(UserError) if kind.__module__.split(".")[0] != "tests"}
    told |= {(error.default_code, error.status_code) for error in _FRAMEWORK}
    wrong = [(code, status) for code, status in told if PROBLEMS[code].status and status not in PROBLEMS[code].status]
    assert wrong == []


@pytest.mark.django_db
def test_the_type_of_a_problem_leads_to_what_it_means() -> None:
    """Without a session: a program's log is read by whoever has it."""
    refused = Client().get("/api/me").json()
    address, _, anchor = refused["type"].partition("#")
    answer = Client().get(address)
    assert (answer.status_code, address) == (200, "/docs/problems")
    page = answer.content.decode()
    for code in (anchor, *PROBLEMS):
        assert document(400, code, "")["type"] == f"{address}#{code}"
        assert f'<tr id="{code}">' in page
    assert "Sign in, or send a token." in page
