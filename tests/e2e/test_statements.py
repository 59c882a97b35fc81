"""Statements of inspection: asked for, issued and read on their pages, narrow and dark too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_a_statement_is_asked_for_and_issued(stack: Stack, visit: Callable[..., Any], scheme: str, width: int) -> None:
    station = f"gate-{width}"
    with stack.client() as client:
        for number in (1, 2, 4):
            fields = {"station": station, "serial_number": f"G{number:04}"}
            answer = client.post("/api/test_image", files={"image": ("g.png", parts.png(number))}, data=fields)
            assert answer.status_code == 200, answer.text
    page = visit("ina", "/reports/statements/", color_scheme=scheme, viewport={"width": width, "height": 900})
    assert violations(page) == []
    page.fill("#station", station)
    page.fill("#first", "G0001")
    page.fill("#last", "G0004")
    page.click(".report-form button.primary")
    assert "except what is named under Exceptions (1)" in page.inner_text("#statement-sentence")
    assert violations(page) == []
    page.click("form[action$='/issue'] button")
    page.wait_for_url("**/reports/statements/*-*/")
    assert "G0003" in page.inner_text(".report-section")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
