"""What people do in the history, in the distribution's Chromium, against the running system."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations
from tests.e2e.test_line_faults import end_session, forgive, sign_in_again
from tests.stack.conftest import Stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def lot(stack: Stack) -> str:
    """Four parts of one lot: two good, two scratched, in turn; the newest is P-3, which is scratched."""
    name = f"lot-{uuid.uuid4().hex[:8]}"
    with stack.client() as client:
        for number in range(4):
            image = {"image": (f"{number}.png", parts.png(number, defective=number % 2 == 1), "image/png")}
            part = {"lot": name, "serial_number": f"{name}-P-{number}", "anomaly_map": "none"}
            assert client.post("/api/test_image", files=image, data=part).status_code == 200
    return name


def serials(page: Any) -> list[str]:
    return [text[-3:] for text in page.locator("#records a.open").all_inner_texts()]


def test_by_keyboard_from_search_to_review(visit: Callable[..., Any], lot: str) -> None:
    page = visit("ina", "/inspections/")
    page.keyboard.press("/")
    page.keyboard.type(lot)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inspections/?search={lot}")
    assert serials(page) == ["P-3", "P-2", "P-1", "P-0"]
    page.wait_for_selector("#figures >> text=Defect")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("g")
    page.wait_for_selector("tr:has-text('P-2') .human.good")
    page.wait_for_selector("#toasts >> text=P-2 reviewed as GOOD.")
    # It went on to the next part, and says so; two steps back lies the newest.
    assert page.inner_text("#picked-count").endswith("P-1")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("d")
    page.keyboard.type("scratch")
    page.keyboard.press("Enter")
    row = page.locator("tr", has_text="P-3")
    row.locator(".human.defective").wait_for()
    assert "scratch" in row.inner_text()
    assert page.locator("input[name=inspection]:checked").count() == 0
    wait_for(lambda: page.evaluate("document.activeElement.textContent").strip().endswith("P-2"), 10)
    page.wait_for_selector("#figures .tile:has-text('Reviewed') >> text=2")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inspections/*/?search={lot}")
    page.go_back()
    page.wait_for_selector("#records")
    assert page.url.split("#")[0].endswith(f"/inspections/?search={lot}")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").inner_text().startswith("Shortcuts")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_what_is_selected_is_counted_reviewed_and_let_go(visit: Callable[..., Any], lot: str) -> None:
    page = visit("otto", f"/inspections/?lot={lot}&view=sheet")
    assert not page.is_visible(".selection")
    page.check("li:has-text('P-0') input")
    page.check("li:has-text('P-1') input")
    assert page.inner_text("#picked-count") == "2 selected"
    page.fill("#defect_type", "burr")
    page.click(".selection button[value=good]")
    page.wait_for_selector("#said [role=alert] >> text=Only a defect has a defect type")
    assert page.locator("input[name=inspection]:checked").count() == 2
    page.click(".selection button[value=defective]")
    page.wait_for_selector("li:has-text('P-1') .human.defective")
    page.wait_for_selector("li:has-text('P-0') .human.defective")
    assert page.locator("input[name=inspection]:checked").count() == 0


def test_keys_act_on_the_selection_and_undo_takes_all_of_it_back(visit: Callable[..., Any], stack: Stack) -> None:
    name = f"keys-{uuid.uuid4().hex[:8]}"
    with stack.client() as client:
        for number in range(4):
            image = {"image": (f"{number}.png", parts.png(number + 50), "image/png")}
            part = {"lot": name, "serial_number": f"{name}-P-{number}", "anomaly_map": "none"}
            assert client.post("/api/test_image", files=image, data=part).status_code == 200
    page = visit("otto", f"/inspections/?lot={name}")
    for number in (0, 1, 2):
        page.check(f"tr:has-text('P-{number}') input")
    page.locator("tr:has-text('P-3') a.open").focus()  # the focus is elsewhere
    assert page.inner_text("#picked-count") == "3 selected"
    page.keyboard.press("d")
    page.keyboard.type("burr")
    assert page.locator("input[name=inspection]:checked").count() == 3
    page.keyboard.press("Enter")
    page.wait_for_selector("#toasts >> text=3 records reviewed as DEFECT.")
    for number in (0, 1, 2):
        page.wait_for_selector(f"tr:has-text('P-{number}') .stands .human.defective")
    assert page.locator("tr:has-text('P-3') .human").count() == 0
    page.locator("body").press("u")
    page.wait_for_selector("#toasts >> text=3 reviews undone.")
    wait_for(lambda: page.locator("#records .human").count() == 0, 10)


def test_more_below_and_back_to_the_same_place(visit: Callable[..., Any], lot: str) -> None:
    page = visit("ina", f"/inspections/?lot={lot}&limit=3")
    assert serials(page) == ["P-3", "P-2", "P-1"]
    page.click("text=Show more")
    page.wait_for_selector("#records >> text=P-0")
    assert serials(page) == ["P-3", "P-2", "P-1", "P-0"]
    page.wait_for_selector("text=End of list")
    page.click("#records >> text=P-0")
    page.wait_for_url("**/inspections/*/**")
    page.go_back()
    page.wait_for_selector("#records >> text=P-0")
    assert "#r-" in page.url


def test_without_scripts_links_and_forms_do_it(visit: Callable[..., Any], lot: str) -> None:
    page = visit("ina", "/inspections/", java_script_enabled=False)
    page.click("text=All filters")
    page.fill("#id_lot", lot)
    page.check("#id_outcome_0")
    page.click("button:has-text('Show')")
    assert page.url.endswith(f"/inspections/?outcome=good&lot={lot}")
    assert serials(page) == ["P-2", "P-0"]
    page.check("tr:has-text('P-0') input")
    page.fill("#comment", "without a script")
    page.click(".selection button[value=good]")
    assert "P-0 reviewed as GOOD." in page.inner_text("main")
    page.click("text=Saved views")
    page.fill("#view-name", lot)
    page.click("button:has-text('Save')")
    assert f"Saved as {lot}" in page.inner_text("main")
    page.goto(page.url.split("?")[0])
    page.click("text=Saved views")
    page.click(f".kept a:has-text('{lot}')")
    assert serials(page) == ["P-2", "P-0"]
    page.click("text=Statistics of these records")
    assert "History statistics" in page.inner_text("h1")


def test_a_failure_says_what_is_kept(visit: Callable[..., Any], lot: str, complaints: list[str]) -> None:
    page = visit("ina")
    page.route("**/inspections/figures*", lambda route: route.fulfill(status=500, body="broken"))
    page.goto(page.url.rstrip("/") + f"/inspections/?lot={lot}")
    page.wait_for_selector("text=The statistics could not be loaded")
    page.route("**/inspections/?lot=*", lambda route: route.abort())
    page.check("tr:has-text('P-0') input")
    page.click(".selection button[value=good]")
    page.wait_for_selector("text=Your selection and all saved reviews are kept")
    assert page.locator("input[name=inspection]:checked").count() == 1
    complaints.clear()  # a browser complains of what was broken on purpose


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(visit: Callable[..., Any], lot: str, scheme: str, complaints: list[str]) -> None:
    page = visit("ina", f"/inspections/?lot={lot}", color_scheme=scheme)
    page.wait_for_selector("#figures .tile")
    page.click("text=All filters")
    page.check("tr:has-text('P-0') input")
    for query in ("", f"?lot={lot}&view=sheet", "?lot=none", "?since=never"):
        if query:
            page.goto(page.url.split("?")[0] + query)
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, query
        assert violations(page) == []
    complaints[:] = [text for text in complaints if "400 (Bad Request)" not in text]  # that of the wrong filter


def three_parts(stack: Stack) -> str:
    """A lot of P-0 to P-2, all of them good."""
    name = f"three-{uuid.uuid4().hex[:8]}"
    with stack.client() as client:
        for number in range(3):
            image = {"image": (f"{number}.png", parts.png(number + 60), "image/png")}
            part = {"lot": name, "serial_number": f"{name}-P-{number}", "anomaly_map": "none"}
            assert client.post("/api/test_image", files=image, data=part).status_code == 200
    return name


def reviews_by_part(stack: Stack, lot: str) -> dict[str, int]:
    with stack.client() as client:
        found = client.get("/api/inspections", params={"lot": lot}).json()["results"]
    return {one["serial_number"][-3:]: one["review"]["reviews"] if one["review"] else 0 for one in found}


def test_a_review_that_waited_for_a_sign_in_is_of_the_records_that_it_was_made_of(
    visit: Callable[..., Any], stack: Stack, complaints: list[str]
) -> None:
    lot = three_parts(stack)
    page = visit("ina", f"/inspections/?lot={lot}")
    page.keyboard.press("j")
    end_session(page)
    page.keyboard.press("g")
    page.wait_for_selector("#sign-in[open]")
    page.focus("#sign-in-later")
    page.keyboard.press("g")  # nothing is reviewed behind the dialog
    page.click("#sign-in-later")
    page.keyboard.press("j")
    assert page.inner_text("#picked-count").endswith("P-1")
    page.click("#sign-in-now")
    sign_in_again(page)
    page.wait_for_selector("#toasts >> text=P-2 reviewed as GOOD.")
    page.wait_for_selector("tr:has-text('P-2') .human.good")
    assert reviews_by_part(stack, lot) == {"P-2": 1, "P-1": 0, "P-0": 0}
    forgive(complaints, "401")


def test_an_answer_leaves_who_has_gone_on_meanwhile_where_they_are(visit: Callable[..., Any], stack: Stack) -> None:
    lot = three_parts(stack)
    page = visit("ina", f"/inspections/?lot={lot}")
    held: list[Any] = []

    def hold(route: Any) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route("**/inspections/?*", hold)
    page.keyboard.press("j")
    page.keyboard.press("g")
    wait_for(lambda: page.wait_for_timeout(50) or held, 10)
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.inner_text("#picked-count").endswith("P-0")
    held[0].continue_()
    page.wait_for_selector("tr:has-text('P-2') .human.good")
    page.wait_for_timeout(300)
    assert page.inner_text("#picked-count").endswith("P-0")
