"""What a person does on the line page, in the distribution's Chromium, against the running system."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import parts
from tests.e2e.conftest import drop, violations
from tests.stack.conftest import Stack, wait_for

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
    assert "Clear the area around the part" in page.inner_text("#result")
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
    page.click("text=Open record")
    assert "SHA-256" in page.inner_text("main")


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Skip")
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"image", "Inspect", "Sign out"} <= seen


def choose(page: Any, *files: tuple[str, bytes]) -> None:
    page.set_input_files("#image", [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files])


def test_many_images_are_judged_one_after_another(page: Any) -> None:
    page.click(".about-part summary")
    page.fill("#id_lot", "L-77")
    choose(page, ("q1.png", parts.png(11)), ("q2.png", b"junk"), ("q3.png", parts.png(13, defective=True)))
    page.wait_for_selector("#queue-words >> text=3 images: 1 good, 1 DEFECT, 1 not judged")
    assert "q2.png: " in page.inner_text("#queue-found")
    assert "q3.png" in page.inner_text("#result h1")
    assert "lot L-77" in page.inner_text("#verdict .facts")
    page.reload()
    assert page.input_value("#id_lot") == "L-77"
    choose(page, *[(f"{number}.png", b"x") for number in range(51)])
    page.wait_for_selector("#too-many >> text=51 images are too many")
    page.evaluate("localStorage.clear()")


def test_a_serial_number_is_given_to_several_images_only_when_asked(page: Any, stack: Stack) -> None:
    two = ("s1.png", parts.png(11)), ("s2.png", parts.png(31))
    page.click(".about-part summary")
    page.fill("#id_lot", "L-78")
    page.fill("#id_serial_number", "SN-78")
    choose(page, *two)
    page.wait_for_selector("#one-serial >> text=A serial number belongs to one part. 2 images are chosen")
    page.keyboard.press("Enter")  # as a scanner ends
    drop(page, "s3.png", parts.png(20))
    page.wait_for_selector("#one-serial >> text=3 images are chosen, and the serial number is SN-78.")
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.locator("#one-serial").is_hidden()
    assert page.locator("#queue").is_hidden()
    assert page.input_value("#id_serial_number") == "SN-78", "nothing was sent"
    choose(page, *two)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Send without serial number"
    page.keyboard.press("Enter")
    page.wait_for_selector("#queue-words >> text=2 images: 2 good, by the model")
    choose(page, *two)
    page.click("#one-serial >> text=All show SN-78")
    assert page.input_value("#id_serial_number") == "", "it is of no part that comes later"
    assert page.input_value("#id_lot") == "L-78"
    page.wait_for_selector("#queue-words >> text=2 images: 2 good, by the model")
    page.fill("#id_serial_number", "SN-79")
    drop(page, "junk.png", b"junk")
    page.wait_for_selector("[role=alert] >> text=junk.png was not judged")
    assert page.input_value("#id_serial_number") == "SN-79", "it has no record yet"
    drop(page, "s3.png", parts.png(20))
    page.wait_for_selector("#verdict .facts >> text=SN-79")
    assert page.input_value("#id_serial_number") == ""
    with stack.client() as client:
        found = client.get("/api/inspections", params={"lot": "L-78"}).json()["results"]
    assert [one["serial_number"] for one in found] == ["SN-79", "SN-78", "SN-78", "", ""]
    page.evaluate("localStorage.clear()")


def test_the_button_opens_the_choice_of_files(page: Any) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#upload button.primary")
    chooser.value.set_files({"name": "chosen.png", "mimeType": "image/png", "buffer": parts.png(20)})
    page.wait_for_selector("#result[data-outcome=good] h1 >> text=chosen.png")
    page.clock.install()
    page.reload()
    assert "now" in page.inner_text("#latest time.ago >> nth=0") or "second" in page.inner_text(
        "#latest time.ago >> nth=0"
    )
    page.route("**/line/status*", lambda route: route.fulfill(status=204))  # not because the list was asked for anew
    page.clock.fast_forward(130_000)
    page.wait_for_selector("#latest time.ago:has-text('2\u00a0minutes ago') >> nth=0")


def test_an_image_whose_answer_was_lost_is_judged_once(
    visit: Callable[..., Any], stack: Stack, complaints: list[str]
) -> None:
    page = visit("otto")
    drop(page, "first.png", parts.png(14))
    page.wait_for_selector("#result >> text=first.png")

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/inspect", lose, times=1)
    drop(page, "lost.png", parts.png(15))
    page.wait_for_selector("#offline >> text=lost.png may not have been judged")
    page.click("#latest a >> nth=0")
    page.wait_for_selector("#say-good")
    page.click("#sending a")
    assert "NO ANSWER" in page.inner_text("#verdict"), "nothing is being judged"
    page.click("#offline-again")
    page.wait_for_selector("#result >> text=lost.png")
    assert page.locator("#offline").is_hidden()
    page.wait_for_selector("#latest >> text=lost.png")
    assert page.locator("#latest .name >> text=lost.png").count() == 1
    complaints[:] = [text for text in complaints if not re.search("ERR_FAILED|htmx:(sendError|afterRequest)", text)]


def test_what_is_known_of_a_part_is_that_of_when_its_image_was_dropped(page: Any, stack: Stack) -> None:
    """The next part is scanned while an image is still being judged, or waits for its turn."""
    held: list[Any] = []
    page.route("**/inspect", lambda route: held.append(route))
    page.click("summary >> text=Part details")
    for serial in ("A", "B"):
        page.fill("#id_serial_number", f"when-{serial}")
        drop(page, f"when-{serial}.png", parts.png(16))
    page.fill("#id_serial_number", "when-C")
    for sent in (1, 2):
        while len(held) < sent:
            page.wait_for_timeout(50)
        held[-1].continue_()
    page.wait_for_selector("#result[data-outcome] h1 >> text=when-B.png")
    assert page.input_value("#id_serial_number") == "when-C"
    with stack.client() as client:
        found = client.get("/api/inspections", params={"serial": "when-"}).json()["results"]
    assert {one["filename"]: one["serial_number"] for one in found} == {"when-A.png": "when-A", "when-B.png": "when-B"}


def test_the_whole_line_by_keys(page: Any) -> None:
    for name, data in (("k1.png", parts.png(16, defective=True)), ("k2.png", parts.png(17))):
        drop(page, name, data)
        page.wait_for_selector(f"#result[data-inspection] h1 >> text={name}")
    page.wait_for_selector("#latest a[aria-current] >> text=k2.png")
    page.wait_for_selector("#say-good")
    page.keyboard.press("j")
    page.wait_for_selector("#result >> text=k1.png")
    page.wait_for_selector("#say-good")
    page.keyboard.press("g")
    page.wait_for_selector("#verdict .human.good >> text=ina")
    page.wait_for_selector("#latest a[aria-current] .human.good")
    page.keyboard.press("k")
    page.wait_for_selector("#result >> text=k2.png")
    page.fill("#comment", "d and g are letters here")
    assert page.locator("#verdict .human").count() == 0
    page.locator("#say-defect").click()
    page.wait_for_selector("#verdict .human.defective")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("Escape")
    page.go_back()
    page.wait_for_selector("#result >> text=k1.png")
    link = page.locator("#latest .strip-list a").nth(1)
    link.focus()
    drop(page, "k3.png", parts.png(18))
    page.wait_for_selector("#latest >> text=k3.png")
    assert page.evaluate("document.activeElement.id") == page.locator("#latest .strip-list a").nth(2).get_attribute(
        "id"
    )


def test_a_pasted_image_is_judged(page: Any) -> None:
    page.evaluate(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
          document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
        }""",
        list(parts.png(19)),
    )
    page.wait_for_selector("#result >> text=pasted.png")


def test_a_machine_without_a_camera_is_told_so(page: Any) -> None:
    page.context.clear_permissions()
    page.keyboard.press("c")
    page.wait_for_selector("#camera[open]")
    page.wait_for_selector("#camera-failed:visible")
    page.click("#camera-close")
    assert page.locator("#camera").is_hidden()


def test_scripts_and_refusals_speak_german(visit: Callable[..., Any]) -> None:
    page = visit("ina", locale="de-DE")
    sent = {"kaputt.png": b"junk", "gut.png": parts.png(12)}
    files = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in sent.items()]
    page.set_input_files("#image", files)
    page.wait_for_selector("#queue-words >> text=2 Bilder: 1 gut, 1 nicht geprüft, laut Modell")
    assert "Der Inhalt ist kein Bild" in page.inner_text("#queue-found")
    assert "<span" not in page.inner_text("#queue-found")
    page.reload()
    drop(page, "kaputt.png", b"junk")
    page.wait_for_selector("#result [role=alert] >> text=Der Inhalt ist kein Bild in einem bekannten Format.")
    assert page.locator("#result [role=alert] [lang=en]").count() == 1
    page.keyboard.press("u")
    page.wait_for_selector("#toasts >> text=Hier gibt es nichts zurückzunehmen.")
    assert page.inner_text("#toasts button") == "Schließen"


def test_a_review_without_scripts(visit: Callable[..., Any]) -> None:
    page = visit("otto", java_script_enabled=False)
    page.locator("#latest .strip-list a").first.click()
    page.fill("#comment", "by hand")
    page.click("#say-good")
    page.wait_for_selector("#verdict .human.good >> text=otto")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_small(visit: Callable[..., Any], scheme: str) -> None:
    page = visit("ina", color_scheme=scheme)
    assert violations(page) == []
    page.locator("#latest .strip-list a").first.click()
    page.wait_for_selector("#verdict")
    sizes: dict[str, int] = {}

    def weigh(response: Any) -> None:
        if not response.headers.get("content-type", "").startswith("image/"):
            sizes[response.url] = len(response.body())

    page.on("response", weigh)
    page.reload()
    page.wait_for_load_state("networkidle")
    assert violations(page) == []
    assert any("htmx" in address for address in sizes)
    assert sum(sizes.values()) <= 250_000, sizes


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_wider_than_the_screen(visit: Callable[..., Any], width: int) -> None:
    page = visit(viewport={"width": width, "height": 900})
    drop(page, "a-very-long-name-" * 8 + ".png", parts.png(5, defective=True))
    page.wait_for_selector(".verdict.defective")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
