"""What a person does on the line page, in the distribution's Chromium, against the running system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import parts
from tests.e2e.conftest import drop
from tests.stack.conftest import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def test_a_dropped_image_gets_its_verdict_and_its_map(page: Any) -> None:
    drop(page, "scratched.png", parts.png(1, defective=True))
    page.wait_for_selector(".verdict.defective")
    assert "scratched.png" in page.inner_text("#result h1")
    heat = page.locator("#result img.heat")
    wait_for(lambda: heat.evaluate("image => image.naturalWidth > 0"), 10)
    page.locator("body").press(" ")
    wait_for(lambda: heat.evaluate("image => getComputedStyle(image).opacity === '0'"), 10)
    assert heat.count() == 1
    page.wait_for_selector("#latest >> text=scratched.png")
    drop(page, "fine.png", parts.png(2))
    page.wait_for_selector(".verdict.good")
    address = page.url
    page.goto(address)
    assert "fine.png" in page.inner_text("#result h1")


def test_regions_are_drawn_on_the_image_and_vanish_with_the_map(page: Any) -> None:
    drop(page, "scratched.png", parts.png(6, defective=True))
    page.wait_for_selector(".verdict.defective")
    assert "above all 12 held-out good parts" in page.inner_text("#result")
    image = page.locator("#result .stack img").first.bounding_box()
    boxes = page.locator("#result .regions rect.under")
    assert boxes.count() >= 1
    for index in range(boxes.count()):
        box = boxes.nth(index).bounding_box()
        assert box["x"] >= image["x"] - 3
        assert box["y"] >= image["y"] - 3
        assert box["x"] + box["width"] <= image["x"] + image["width"] + 3
        assert box["y"] + box["height"] <= image["y"] + image["height"] + 3
    page.locator("body").press(" ")
    regions = page.locator("#result .regions")
    wait_for(lambda: regions.evaluate("drawn => getComputedStyle(drawn).opacity === '0'"), 10)


def test_what_cannot_be_compared_says_what_to_do_next(page: Any) -> None:
    stripes = Image.fromarray(np.where(np.arange(96) % 16 < 8, 40, 200).astype(np.uint8)[None].repeat(96, 0))
    drop(page, "stripes.png", parts.encode(stripes.convert("RGB")))
    page.wait_for_selector(".verdict.not_comparable")
    assert "NOT COMPARABLE" in page.inner_text("#result")
    assert "Clear the place around the part" in page.inner_text("#result")
    assert page.locator("#result .heat").count() == 0
    page.wait_for_selector("#latest .badge.not_comparable")
    drop(page, "fine.png", parts.png(8))
    page.wait_for_selector(".verdict.good")


def test_a_broken_image_is_a_sentence_and_the_next_one_works(page: Any) -> None:
    drop(page, "broken.png", b"not an image")
    page.wait_for_selector("[role=alert] >> text=broken.png was not judged")
    drop(page, "fine.png", parts.png(3))
    page.wait_for_selector(".verdict.good")


def test_without_scripts_the_form_does_it(visit: Callable[..., Any], tmp_path: Path) -> None:
    image = tmp_path / "plain.png"
    image.write_bytes(parts.png(4, defective=True))
    page = visit("otto", java_script_enabled=False)
    page.set_input_files("#image", str(image))
    page.click("#upload button")
    page.wait_for_selector(".verdict.defective")
    page.click("dl.facts a[href^='/inspections/']")
    assert "SHA-256" in page.inner_text("main")


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Skip")
    seen = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"image", "Inspect", "Sign out"} <= seen


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_screen(visit: Callable[..., Any], width: int) -> None:
    page = visit(viewport={"width": width, "height": 900})
    drop(page, "a-very-long-name-" * 8 + ".png", parts.png(5, defective=True))
    page.wait_for_selector(".verdict.defective")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
