"""What a person does on the page of a record, in the distribution's Chromium, against the running system."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pypdf import PdfReader

from tests import parts
from tests.e2e.conftest import violations
from tests.e2e.test_line_faults import end_session, forgive, sign_in_again
from tests.stack.conftest import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]
TALL = {"width": 1440, "height": 1300}
VIEW = r"#view=([\d.]+),([\d.]+),([\d.]+)"


@pytest.fixture(scope="module")
def records(stack: Stack) -> list[str]:
    """Addresses of three inspections of one lot, the oldest first; the middle one is a defect, and one is like it."""
    found = []
    with stack.client() as client:
        alike, _ = parts.part(41, defective=True)
        alike.putpixel((0, 0), (0, 0, 0))
        files = {"image": ("alike.png", parts.encode(alike), "image/png")}
        assert client.post("/api/test_image", files=files, data={"anomaly_map": "none"}).status_code == 200
        for seed, defective in ((40, False), (41, True), (42, False)):
            answer = client.post(
                "/api/test_image",
                files={"image": (f"record {seed}.png", parts.png(seed, defective=defective), "image/png")},
                data={"lot": "RECORD", "anomaly_map": "none"},
            )
            assert answer.status_code == 200, answer.text
            found.append(answer.json()["page_url"])
    return found


def fragment(page: Any) -> str:
    return page.evaluate("location.hash")


def zoom(page: Any) -> float:
    return float(page.evaluate("document.querySelector('[data-viewer]').style.getPropertyValue('--zoom')"))


def test_the_viewer_zooms_where_one_points_and_the_address_can_be_sent(
    visit: Callable[..., Any], records: list[str]
) -> None:
    page = visit("ina", records[1], viewport=TALL)
    image = page.locator("[data-pane] .stack img").first
    box = image.bounding_box()
    x, y = box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.75
    page.mouse.move(x, y)
    for _ in range(4):
        page.mouse.wheel(0, -200)
    wait_for(lambda: zoom(page) > 4, 5)
    near = image.bounding_box()
    # What was under the pointer is there still.
    assert abs((x - near["x"]) / near["width"] - 0.25) < 0.01
    assert abs((y - near["y"]) / near["height"] - 0.75) < 0.01
    page.keyboard.press("ArrowRight")
    moved = image.bounding_box()
    assert moved["x"] < near["x"] - 5
    page.mouse.down()
    page.mouse.move(x + 60, y)
    page.mouse.up()
    assert abs(image.bounding_box()["x"] - moved["x"] - 60) < 2
    seen, place = fragment(page), image.bounding_box()
    assert re.search(VIEW, seen), "the end of a drag leaves the view in the address"
    page.reload()
    assert fragment(page) == seen
    again = page.locator("[data-pane] .stack img").first.bounding_box()
    assert abs(again["x"] - place["x"]) < 4
    assert abs(again["width"] - place["width"]) < 4
    page.mouse.dblclick(x, y)
    assert zoom(page) == 1
    wait_for(lambda: not fragment(page), 5)
    page.keyboard.press("+")
    assert zoom(page) > 1
    page.keyboard.press("0")
    assert zoom(page) == 1


def test_the_map_fades_and_stands_beside_the_image(visit: Callable[..., Any], records: list[str]) -> None:
    page = visit("ina", records[1], viewport=TALL)
    heat = page.locator("img.heat")
    page.locator("[data-opacity]").fill("40")
    wait_for(lambda: heat.evaluate("image => getComputedStyle(image).opacity === '0.4'"), 5)
    page.locator("body").press(" ")
    wait_for(lambda: heat.evaluate("image => getComputedStyle(image).opacity === '0'"), 5)
    page.locator("body").press(" ")
    page.click("text=Side by side")
    left, right = page.locator(".pane.plain").bounding_box(), page.locator("[data-pane]").bounding_box()
    assert left["x"] < right["x"]
    assert abs(left["width"] - right["width"]) < 3
    wait_for(lambda: fragment(page) == "#map=40&side=1", 5)
    page.hover("tr[data-region='1']")
    assert page.locator("rect.lit").count() == 1
    page.click("tr[data-region='1'] a")
    wait_for(lambda: zoom(page) >= 2, 5)


def test_a_review_by_mouse_with_a_box_and_one_by_key(visit: Callable[..., Any], records: list[str]) -> None:
    page = visit("otto", f"{records[1]}?lot=RECORD", viewport=TALL)
    page.click("text=Mark where the defect is")
    page.click("#mark")
    box = page.locator("[data-pane] .stack img").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.75)
    page.mouse.up()
    assert re.fullmatch(r"2[345] 2[345] 2[345] 4[789]", page.input_value("#regions"))
    page.fill("#comment", "seen by eye")
    page.keyboard.press("Tab")
    page.locator("body").press("d")
    page.keyboard.type("scratch")
    page.keyboard.press("Enter")
    page.wait_for_selector("#toasts >> text=reviewed as DEFECT")
    assert "otto" in page.inner_text("#standing")
    assert "Reviewed as DEFECT" in page.inner_text("#life")
    assert page.input_value("#comment") == ""
    page.locator("body").press("g")
    page.wait_for_selector("#toasts >> text=reviewed as GOOD")
    assert page.locator("#reviews .human").count() == 2
    assert "overrules the model" in page.inner_text("#standing")
    assert page.inner_text("#standing .banner .human").split() == ["GOOD", "otto"]
    assert page.title().startswith("GOOD, otto · record 41.png · ")
    page.locator("body").press("u")
    page.wait_for_selector("#toasts >> text=is DEFECT again")
    page.wait_for_selector("#standing .badge.defective")
    assert page.title().startswith("DEFECT · record 41.png · ")
    page.click("#toasts form button")
    page.wait_for_selector("#standing .banner .human.good")
    page.locator("body").press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")


@pytest.fixture
def removed(stack: Stack, records: list[str]) -> Iterator[str]:
    """A record whose image and map are told as deleted by retention. Other pages get them back afterwards."""

    def tell(moment: str) -> None:
        script = (
            "from django.utils import timezone; from inspection.models import Inspection; "
            "from records.models import Asset; "
            f"record = Inspection.objects.get(pk={records[2].split('/')[2]!r}); "
            "files = Asset.objects.filter(pk__in=[record.asset_id, record.map_id]); "
            f"print(files.update(discarded_at={moment}))"
        )
        assert stack.manage("shell", "--verbosity", "0", "--command", script).stdout.strip() == "2"

    tell("timezone.now()")
    yield records[2]
    tell("None")


def test_keys_are_the_pages_again_after_a_review_without_an_image(visit: Callable[..., Any], removed: str) -> None:
    page = visit("otto", removed, viewport=TALL)
    assert page.locator("[data-pane]").count() == 0
    page.keyboard.press("d")
    page.keyboard.type("scratch")
    page.keyboard.press("Enter")
    page.wait_for_selector("#toasts >> text=reviewed as DEFECT")
    wait_for(lambda: page.evaluate("document.activeElement === document.body"), 5)
    page.keyboard.press("g")
    page.wait_for_selector("#toasts >> text=reviewed as GOOD")


def test_the_keyboard_walks_through_the_filter(visit: Callable[..., Any], records: list[str]) -> None:
    page = visit("otto", f"{records[2]}?lot=RECORD")
    for older in (records[1], records[0]):
        with page.expect_navigation():
            page.locator("body").press("j")
        assert page.url.endswith(f"{older}?lot=RECORD")
    assert page.locator("a[rel=next]").count() == 0
    with page.expect_navigation():
        page.locator("body").press("k")
    assert page.url.endswith(f"{records[1]}?lot=RECORD")
    page.locator("#similar").scroll_into_view_if_needed()
    page.wait_for_selector("text=Similar: the anomaly map")
    made = page.request.get(page.url.partition("?")[0] + "certificate.pdf")
    assert "DEFECT" in PdfReader(io.BytesIO(made.body())).pages[0].extract_text()


def test_it_works_without_scripts(visit: Callable[..., Any], records: list[str]) -> None:
    page = visit("otto", records[0], java_script_enabled=False)
    assert not page.is_visible("[data-zoom='in']")
    page.uncheck("#show-map")
    heat = page.locator("img.heat")
    wait_for(lambda: heat.evaluate("image => getComputedStyle(image).opacity === '0'"), 5)
    page.fill("#comment", "no script")
    page.click("#review button[value=good]")
    assert "record 40.png reviewed as GOOD." in page.inner_text("main")
    assert "no script" in page.inner_text("#reviews")
    page.click("#similar a")
    assert "Similar to record 40.png" in page.inner_text("h1")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nobody_is_kept_out(visit: Callable[..., Any], records: list[str], colours: str) -> None:
    page = visit("ada", records[1], color_scheme=colours)
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    wait_for(lambda: page.evaluate("document.documentElement.scrollWidth <= 390"), 5)
    assert violations(page) == []


def test_keys_do_nothing_behind_the_sign_in_dialog(
    visit: Callable[..., Any], stack: Stack, complaints: list[str]
) -> None:
    with stack.client() as client:
        image = {"image": ("behind.png", parts.png(44), "image/png")}
        record = client.post("/api/test_image", files=image, data={"anomaly_map": "none"}).json()
    page = visit("ina", record["page_url"])
    end_session(page)
    page.keyboard.press("d")
    page.keyboard.type("dent")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-in[open]")
    page.focus("#sign-in-later")
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.wait_for_timeout(300)
    sign_in_again(page)
    page.wait_for_selector("#toasts >> text=reviewed as DEFECT")
    page.wait_for_selector("#reviews .human.defective >> text=ina")
    assert page.locator("#reviews .human.good").count() == 0
    forgive(complaints, "401")


def test_a_review_that_does_not_arrive_stays_written(
    visit: Callable[..., Any], records: list[str], complaints: list[str]
) -> None:
    page = visit("otto", records[0], viewport=TALL)
    page.route("**/review", lambda route: route.abort())
    page.fill("#comment", "not yet")
    page.click("#say-good")
    page.wait_for_selector("#offline >> text=Nothing was saved")
    assert page.input_value("#comment") == "not yet"
    page.unroute("**/review")
    page.click("#say-good")
    page.wait_for_selector("#toasts >> text=reviewed as GOOD")
    assert page.locator("#offline").is_hidden()
    complaints.clear()  # a browser complains of what was broken on purpose
