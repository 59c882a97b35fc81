"""Tuning a threshold in the browser: look, decide, undo; with the slider, with the keyboard, and without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations
from tests.stack.conftest import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def judged(stack: Stack) -> dict[str, Any]:
    """Some parts of the line, and what judges them."""
    with stack.client() as client:
        for seed in range(6):
            file = (f"{seed}.png", parts.png(seed, defective=seed % 2 == 1), "image/png")
            assert client.post("/api/test_image", files={"image": file}).status_code == 200
        return client.get("/api/status").json()["model"]


def judge(stack: Stack) -> dict[str, Any]:
    with stack.client() as client:
        return client.post("/api/test_image", files={"image": ("next.png", parts.png(9), "image/png")}).json()


def undo(page: Any) -> None:
    page.click("summary >> text=Undo revision")
    page.fill("#undo-reason", "only a test")
    with page.expect_navigation():
        page.click("button >> text=again, as revision")
    assert "is active" in page.inner_text("[role=status]")


def test_the_slider_shows_what_would_be_and_the_next_upload_is_judged_by_it(
    visit: Callable[..., Any], stack: Stack, judged: dict[str, Any]
) -> None:
    page = visit(path="/thresholds/")
    page.click("main th >> text=disc")
    page.wait_for_selector("#figures")
    assert "active" in page.inner_text("#figures h2")
    page.fill("#reason", "less to look at again")
    drawn = page.locator(".lanes .mark.preview")
    before = drawn.get_attribute("d")
    page.focus("#slider")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#figures h2 >> text=instead of")
    assert drawn.get_attribute("d") != before
    wait_for(lambda: "threshold=" in page.url, 5)
    assert page.input_value("#reason") == "less to look at again"
    value = float(page.input_value("#threshold"))
    wait_for(lambda: page.locator("#applied input[name=value]").get_attribute("value") == repr(value), 5)
    with page.expect_navigation():
        page.click("#applied button")
    assert "is active" in page.inner_text("[role=status]")
    assert judge(stack)["threshold"] == value
    undo(page)
    assert judge(stack)["threshold"] == pytest.approx(judged["threshold"])


def test_without_scripts_a_field_and_a_button_do_it(
    visit: Callable[..., Any], stack: Stack, judged: dict[str, Any]
) -> None:
    page = visit(java_script_enabled=False, path="/thresholds/")
    page.click("main th >> text=disc")
    assert page.is_hidden("#slider")
    page.fill("#threshold", "0.5")
    page.click("#preview button")
    page.wait_for_selector("#figures h2 >> text=At 0.500 instead of")
    page.fill("#reason", "without scripts")
    page.click("#applied button")
    assert "0.5" in page.inner_text("[role=status]")
    assert judge(stack)["threshold"] == 0.5
    undo(page)


def test_who_may_not_tune_looks_and_does_not_decide(visit: Callable[..., Any], judged: dict[str, Any]) -> None:
    page = visit("otto", path=f"/thresholds/{judged['model_version']}/?threshold=0.5")
    assert "At 0.500 instead of" in page.inner_text("#figures h2")
    assert page.locator("#reason, #applied, #undo-reason").count() == 0


def test_what_a_row_is_about_stays_in_sight(visit: Callable[..., Any], judged: dict[str, Any]) -> None:
    page = visit(path="/thresholds/", viewport={"width": 320, "height": 800})
    box = page.locator(".scroll").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    name = page.locator("tbody th[scope=row]").first
    before = name.bounding_box()["x"]
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_everybody_can_read_it(visit: Callable[..., Any], judged: dict[str, Any], scheme: str, width: int) -> None:
    page = visit(path="/thresholds/", color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in ("/thresholds/", f"/thresholds/{judged['model_version']}/?threshold=0.5"):
        page.goto(page.url.split("/thresholds/")[0] + path)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
