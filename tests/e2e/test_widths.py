"""Every page at every width that a screen in a factory has: nothing overlaps, is cut, or leaves the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inspection.benchmarks.pages import PARTS
from tests.e2e.layout import faults, share_of_picture

WIDTHS = (1920, 1440, 1280, 1180, 1024, 768, 390, 320)
_OF_THE_PICTURE = ("line-opened", "inspection")


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.sqlite_is_enough
def test_every_page_at_every_width(visit: Callable[..., Any], addresses: dict[str, str], stack: Any) -> None:
    page = visit("ada", reduced_motion="reduce")
    pages = {name: path for name, path in addresses.items() if name not in PARTS}
    wrong = [what for name, path in pages.items() for what in _wrong(page, stack.address + path, name)]
    page.set_viewport_size({"width": 1440, "height": 900})
    with page.expect_navigation():
        page.click("text=Sign out")
    assert wrong + _wrong(page, stack.address + "/login/", "login") == []


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
