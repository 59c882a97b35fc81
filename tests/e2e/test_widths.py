"""Every page at every width that a screen in a factory has: nothing overlaps, is cut, or leaves the window."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from inspection.benchmarks.pages import PARTS
from tests.e2e.layout import faults, share_of_picture

WIDTHS = (1920, 1440, 1280, 1180, 1024, 768, 390, 320)
_OF_THE_PICTURE = ("line-opened", "inspection")


@pytest.mark.stack
@pytest.mark.slow
def test_every_page_at_every_width(visit: Callable[..., Any], addresses: dict[str, str], stack: Any) -> None:
    page = visit("ada", reduced_motion="reduce")
    pages = {name: path for name, path in addresses.items() if name not in PARTS}
    wrong = [what for name, path in pages.items() for what in _wrong(page, stack.address + path, name)]
    page.set_viewport_size({"width": 1440, "height": 900})
    with page.expect_navigation():
        page.click("text=Sign out")
    assert wrong + _wrong(page, stack.address + "/login/", "login") == []


_SMALL = """() => [...document.querySelectorAll(
  ".rail a, .rail button, .button, summary, select, .choice, .tabs a, .chip[href], " +
  "input:not([type=hidden], [type=checkbox], [type=radio])")]
  .filter(element => element.checkVisibility() && !element.matches(".skip") && element.getClientRects().length)
  .map(element => [element, element.getBoundingClientRect()])
  .filter(([element, box]) => box.height > 1 && box.height < 39.5)
  .map(([element, box]) => `${element.localName} ${element.innerText.trim().slice(0, 30)}: ${box.height} px`)
"""


@pytest.mark.stack
@pytest.mark.slow
def test_a_finger_meets_every_control(visit: Callable[..., Any], addresses: dict[str, str], stack: Any) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit("ada", **phone)
    wrong = []
    for name, path in addresses.items():
        if name not in PARTS:
            page.goto(stack.address + path)
            wrong += [f"{name}: {what}" for what in page.evaluate(_SMALL)]
            drops = page.get_by_text(re.compile(r"\bdrop\b", re.IGNORECASE)).filter(visible=True).count()
            wrong += [f"{name}: speaks of dropping"] * bool(drops)
    assert wrong == []
    bar = page.locator(".rail > nav a, .rail > .more").filter(visible=True)
    assert bar.all_inner_texts() == ["Line", "History", "Thresholds", "Models", "More"]
    page.tap(".rail .more")
    page.tap("#more >> text=Settings")
    page.wait_for_url("**/settings/")


def _wrong(page: Any, address: str, name: str) -> list[str]:
    """One page is loaded once and then made narrower."""
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(address)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(40)
        found += [f"{name} at {width}: {what}" for what in faults(page)]
        if name in _OF_THE_PICTURE and 901 <= width <= 1280:
            share = share_of_picture(page)
            if share is None or share < 0.5:
                found.append(f"{name} at {width}: the picture has {share} of the page")
    return found


_CUT = """() => [...document.querySelectorAll(".scroll")]
  .filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map(box => `${box.querySelector("caption")?.innerText}: ${box.scrollWidth} in ${box.clientWidth}`)
"""


@pytest.mark.stack
@pytest.mark.slow
def test_what_is_compared_is_in_sight_and_names_are_no_columns_of_letters(
    visit: Callable[..., Any], addresses: dict[str, str], stack: Any
) -> None:
    """Values side by side at every width of a desk; on a phone the name of a part that was overruled."""
    page = visit("ada", reduced_motion="reduce")
    wrong = []
    for width in (1440, 1280, 1024):
        page.set_viewport_size({"width": width, "height": 900})
        for path in (addresses["models-compare"], addresses["threshold"] + "?threshold=4.5"):
            page.goto(stack.address + path)
            wrong += [f"{path} at {width}: {what}" for what in page.evaluate(_CUT)]
    assert wrong == []
    with stack.client() as client:
        record = client.get("/api/inspections", params={"outcome": "good", "limit": 1}).json()["results"][0]
        said = client.post(f"/api/inspections/{record['inspection_id']}/reviews", json={"verdict": "defective"})
        assert said.status_code == 201
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{stack.address}/inspections/?overruled=yes")
    for name in page.locator(".records .record .part").all():
        assert name.bounding_box()["width"] > 150
