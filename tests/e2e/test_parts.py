"""The page of a part with its views side by side, the list, and layouts; narrow and dark too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]
VIEWS = ("top", "left", "right")


def send(stack: Stack, part_id: str, views: tuple[str, ...] = VIEWS, *, defective: str = "") -> dict[str, Any]:
    files = {view: (f"{view}.png", parts.png(i, defective=view == defective)) for i, view in enumerate(views)}
    with stack.client() as client:
        answer = client.post("/api/parts", data={"layout": "e2e", "part_id": part_id, "lot": "L-E2E"}, files=files)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
def layout(stack: Stack, visit: Callable[..., Any]) -> None:
    """Set by an engineer on the page of layouts."""
    with stack.client() as client:
        if client.get("/api/part-layouts/e2e").status_code == 200:
            return
        category = client.get("/api/status").json()["model"]["category"]
    page = visit("ina", "/parts/layouts/")
    page.fill("#id_name", "e2e")
    page.fill("#id_views", "\n".join(f"{view}, {category}" for view in VIEWS))
    page.fill("#id_time_limit_seconds", "600")
    page.fill("#id_reason", "three cameras")
    page.click("form button.primary")
    page.wait_for_url("**/parts/layouts/of/e2e/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_of_a_part_shows_its_views(
    stack: Stack, layout: None, visit: Callable[..., Any], scheme: str, width: int
) -> None:
    part = send(stack, f"P-{scheme}-{width}", defective="left")
    page = visit("ina", "/parts/?lot=L-E2E", color_scheme=scheme, viewport={"width": width, "height": 900})
    assert violations(page) == []
    page.click(f"text={part['part_id']}")
    page.wait_for_url(f"**{part['page_url']}")
    assert "DEFECT" in page.inner_text(".part-verdict")
    assert page.locator(".part-view img.heat").count() == 3
    page.wait_for_function("[...document.images].every(image => image.complete || image.loading === 'lazy')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_an_open_part_closes_before_ones_eyes(stack: Stack, layout: None, visit: Callable[..., Any]) -> None:
    part = send(stack, "P-open", ("top", "left"))
    page = visit("ina", part["page_url"])
    assert "PENDING" in page.inner_text(".part-verdict")
    assert "right" in page.inner_text(".part-verdict")
    send(stack, "P-open", ("right",))
    page.wait_for_selector(".part-verdict .badge.good, .part-verdict .badge.defective", timeout=30_000)
