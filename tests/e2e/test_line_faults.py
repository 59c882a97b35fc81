"""The line while something is wrong: a frozen worker, a dead one, a session that is over, a promotion elsewhere.

Whatever happens, the panel, the picture, the list and the address are about one and the same part.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import parts
from tests.e2e.conftest import CHROMIUM, PASSWORD, drop, make_people
from tests.stack.conftest import DISC, Stack, new_stack, trained, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]

_ONE_PART = """() => {
  const row = document.querySelector("#latest a[aria-current]");
  const picture = document.querySelector("#result .stack img");
  const id = (text) => ((text || "").match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/) || [""])[0];
  return [document.querySelector("#result").dataset.inspection || "", id(location.search), id(row && row.id),
          id(picture && picture.getAttribute("src"))];
}"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two categories in force, `nut` loaded last; an image is given up after 20 seconds."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with new_stack(trained("--illumination", "flatfield"), ANSWER_TIMEOUT="20") as made:
        make_people(made)
        nut = parts.write_dataset(tmp_path_factory.mktemp("second") / "nut", train=12)
        made.json("train", "--model", "padim", "--dataset", str(nut), *DISC)
        made.start()
        with made.client() as client:
            for category in ("disc", "nut"):
                assert client.post("/api/load_model", json={"category": category}).status_code == 200
        yield made


@pytest.fixture
def disc(visit: Callable[..., Any]) -> Any:
    """The line for discs."""
    return visit("ina", "/?category=disc")


def judges(stack: Stack) -> list[psutil.Process]:
    return [process for process in stack.children() if "-Q inference" in " ".join(process.cmdline())]


@contextlib.contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """The worker stands still, and so does who would replace it."""
    assert stack.process
    halted = [psutil.Process(stack.process.pid), *judges(stack)]
    for process in halted:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(halted):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.contextmanager
def nobody_judging(stack: Stack) -> Iterator[None]:
    """The worker is killed and not replaced."""
    assert stack.process
    supervisor = psutil.Process(stack.process.pid)
    supervisor.suspend()
    try:
        for process in judges(stack):
            process.send_signal(signal.SIGKILL)
        yield
    finally:
        supervisor.resume()


def one_part(page: Any) -> str:
    """The record that panel, address, list and picture are all about."""
    ids = page.evaluate(_ONE_PART)
    assert len(set(ids)) == 1, ids
    return str(ids[0])


def judged(page: Any, name: str, data: bytes) -> str:
    drop(page, name, data)
    page.wait_for_selector(f"#result[data-inspection] h1 >> text={name}")
    return one_part(page)


def records(stack: Stack, **filters: str) -> list[dict[str, Any]]:
    with stack.client() as client:
        found: list[dict[str, Any]] = client.get("/api/inspections", params=filters).json()["results"]
        return found


def end_session(page: Any) -> None:
    page.context.clear_cookies(name="sessionid")


def sign_in_again(page: Any, person: str = "ina") -> None:
    page.wait_for_selector("#sign-in[open]")
    page.fill("#sign-in_username", person)
    page.fill("#sign-in_password", PASSWORD)
    page.press("#sign-in_password", "Enter")


def forgive(complaints: list[str], *words: str) -> None:
    """What the browser says itself of an answer that this test provoked."""
    complaints[:] = [text for text in complaints if not re.search("|".join(words), text)]


# ---------------------------------------------------------------- one part
def test_while_a_part_is_judged_nothing_of_another_is_shown(disc: Any, stack: Stack) -> None:
    bad = judged(disc, "bad.png", parts.png(1, defective=True))
    assert disc.locator("#say-good").count() == 1
    with frozen(stack):
        drop(disc, "next.png", parts.png(2))
        disc.wait_for_selector("#verdict .badge.pending >> text=PENDING")
        assert disc.inner_text("#result h1") == "next.png"
        assert disc.locator("#result .stack img").get_attribute("src").startswith("blob:")
        assert disc.locator("#result .badge.defective, #say-good, #say-defect").count() == 0
        assert "inspection=" not in disc.url
        assert disc.locator("#latest a[aria-current]").count() == 0
        assert "next.png" in disc.inner_text("#sending a[aria-current]")
        disc.wait_for_selector("#verdict [data-elapsed] >> text=2 s")
        disc.locator("body").press("g")
        disc.wait_for_selector("#toasts >> text=next.png has no verdict yet")
        # A look at another record meanwhile is not ended by the verdict that comes then.
        disc.click(f"#s-{bad}")
        disc.wait_for_selector("#say-good")
        assert one_part(disc) == bad
        assert disc.locator("#sending a[aria-current]").count() == 0
        disc.click("#sending a")
        assert disc.inner_text("#result h1") == "next.png"
        disc.go_back()
        disc.wait_for_selector("#say-good")
        assert one_part(disc) == bad
    disc.wait_for_selector("#toasts >> text=next.png: good")
    disc.wait_for_selector("#latest >> text=next.png")
    assert one_part(disc) == bad
    assert disc.locator("#sending a").count() == 0
    shown = ("bad.png", "next.png")
    assert not [record for record in records(stack) if record["filename"] in shown and record["review"]]


def test_the_answer_that_comes_late_is_not_shown(disc: Any) -> None:
    first, second = (judged(disc, f"late-{n}.png", parts.png(10 + n)) for n in (1, 2))
    held: list[Any] = []
    disc.route(f"**/*inspection={first}*", lambda route: held.append(route))
    disc.click(f"#s-{first}")
    wait_for(lambda: disc.wait_for_timeout(50) or held, 10)
    assert disc.inner_text("#result h1") == "late-1.png", "at once, before the answer"
    assert disc.locator("#say-good").count() == 0
    disc.click(f"#s-{second}")
    disc.wait_for_selector("#say-good")
    held[0].continue_()
    disc.wait_for_timeout(500)
    assert one_part(disc) == second
    disc.unroute(f"**/*inspection={first}*")
    disc.go_back()
    disc.wait_for_selector("#result h1 >> text=late-1.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == first
    disc.go_forward()
    disc.wait_for_selector("#result h1 >> text=late-2.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == second


def test_a_refused_file_leaves_no_verdict_of_another(disc: Any) -> None:
    judged(disc, "before.png", parts.png(21, defective=True))
    drop(disc, "junk.png", b"junk")
    disc.wait_for_selector("[role=alert] >> text=junk.png was not judged")
    assert one_part(disc) == ""
    assert disc.locator("#result .badge, #say-good").count() == 0


def test_images_sent_together_are_summed_up_defects_first(disc: Any) -> None:
    sent = {"bad.png": parts.png(33, defective=True), "junk.png": b"junk", "fine.png": parts.png(31)}
    files = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in sent.items()]
    disc.set_input_files("#image", files)
    disc.wait_for_selector("#queue-words >> text=3 images: 1 good, 1 DEFECT, 1 not judged")
    disc.wait_for_selector("#result[data-outcome=defective] h1 >> text=bad.png")
    one_part(disc)
    assert disc.locator("#queue-found .name").all_inner_texts() == ["bad.png", "junk.png"]
    assert disc.inner_text("#result h1") == "bad.png"
    disc.click("#say-good")
    disc.wait_for_selector("#queue-words >> text=3 images: 1 good, 1 DEFECT, 1 not judged, by the model; 1 overruled")
    assert "DEFECT, reviewed as good" in disc.inner_text("#queue-found")
    whole = "by => { by.textContent = 'a-reviewer-with-a-long-name'; return by.scrollWidth <= by.clientWidth; }"
    assert disc.locator("#latest .human .by").first.evaluate(whole), "the name is not cut in the list"
    disc.click("#toasts >> text=Undo")
    disc.wait_for_selector("#queue-words:has-text('by the model'):not(:has-text('overruled'))")
    judged(disc, "single.png", parts.png(34))
    assert "3 images" in disc.inner_text("#queue-words"), "it stays"
    assert disc.locator("#queue-found").is_hidden(), "in one line: the part that is shown is none of them"
    disc.click("#queue-unfold")
    disc.click("#queue-found a")
    disc.wait_for_selector("#say-good")
    assert disc.inner_text("#result h1") == "bad.png"
    one_part(disc)
    disc.click("#queue-close")
    assert disc.locator("#queue").is_hidden()


def test_the_same_image_again_is_said(disc: Any) -> None:
    first = judged(disc, "once.png", parts.png(41))
    assert disc.locator("#same-image").count() == 0
    second = judged(disc, "twice.png", parts.png(41))
    assert "Same image judged" in disc.inner_text("#same-image")
    disc.click("#same-image a")
    disc.wait_for_selector("#result h1 >> text=once.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == first != second


def say_defect(page: Any, kind: str = "") -> None:
    """As by keys: D, what it is, Enter."""
    page.locator("#result h1").click()
    page.keyboard.press("d")
    page.keyboard.type(kind)
    page.keyboard.press("Enter")


def test_what_a_person_said_leads_wherever_the_part_is_shown(disc: Any, stack: Stack) -> None:
    part = judged(disc, "overruled.png", parts.png(45))
    say_defect(disc)
    disc.wait_for_selector("#verdict .banner .human")
    for address in ("", f"{stack.address}/inspections/{part}/"):
        if address:
            disc.goto(address)
        banner = disc.inner_text(".verdict-first")
        assert re.search(r"^\s*DEFECT\b", banner), banner
        assert "ina" in banner
        assert "model: GOOD" in banner
        assert disc.locator(".verdict-first .badge.verdict.good").count() == 0
    disc.goto(f"{stack.address}/inspections/?search=overruled.png")
    row = disc.locator(".record", has_text="overruled.png")
    assert row.count() == 1
    assert "DEFECT" in row.locator(".human").inner_text()


def test_a_picture_of_another_shape_or_without_colour_has_no_verdict(disc: Any, stack: Stack) -> None:
    image = parts.part(46)[0]
    for name, picture, reason in (
        ("stretched.png", image.resize((4 * parts.SIDE, parts.SIDE)), "other_aspect"),
        ("grey.png", image.convert("L").convert("RGB"), "grey_picture"),
    ):
        drop(disc, name, parts.encode(picture))
        disc.wait_for_selector(f"#result[data-inspection] h1 >> text={name}")
        disc.wait_for_selector("#verdict .badge.verdict.not_comparable")
        [record] = [row for row in records(stack) if row["inspection_id"] == one_part(disc)]
        assert (record["outcome"], record["reason"], record["score"]) == ("not_comparable", reason, None)
    disc.wait_for_selector("#today >> text=/[0-9]+ not comparable/")


def test_keys_review_what_is_shown_and_go_on_where_asked_for(disc: Any, stack: Stack) -> None:
    reviewed_before = {record["inspection_id"] for record in records(stack) if record["review"]}
    older, newer = (judged(disc, f"keys-{n}.png", parts.png(50 + n)) for n in (1, 2))
    disc.click(f"#s-{older}")
    disc.wait_for_selector("#say-good")
    disc.check("#next-part")
    disc.set_viewport_size({"width": 1024, "height": 600})
    say_defect(disc, "burr")
    disc.wait_for_selector("#toasts >> text=Previous part: keys-1.png reviewed as DEFECT")
    disc.wait_for_selector("#result h1 >> text=keys-2.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == newer
    for seen in ("#result h1", "#verdict .badge.verdict"):
        box = disc.locator(seen).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 600
    assert "model: GOOD" in disc.inner_text(f"#s-{older}"), "with the answer, not with the next look"
    disc.locator("body").press("u")
    wait_for(lambda: "model: " not in disc.inner_text(f"#s-{older}"), 10)
    disc.wait_for_selector("#result h1 >> text=keys-1.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == older, "back to the part whose review was undone"
    disc.click("#toasts >> text=Close")
    disc.locator("body").press("u")
    disc.wait_for_selector("#toasts >> text=A review of keys-1.png is undone on its record")
    disc.click(f"#s-{newer}")
    disc.wait_for_selector("#say-good")
    disc.click("#say-good")
    disc.wait_for_selector("#next-none >> text=That was the newest part.")
    assert one_part(disc) == newer, "it goes to no older part"
    reviewed = {record["inspection_id"] for record in records(stack) if record["review"]}
    assert reviewed - reviewed_before == {newer}, "the review of the older part is undone, no other part has one"
    disc.goto(f"{stack.address}/inspections/{newer}/")
    disc.locator("body").press("u")
    disc.wait_for_selector("#toasts >> text=Undone: keys-2.png is not reviewed")
    disc.wait_for_selector("#own-review", state="detached")


def test_after_a_review_a_run_goes_on_with_its_own_defects_and_ends(disc: Any, stack: Stack) -> None:
    """Many defects stand in a list of its own height, the verdict in sight; no part of another drop is opened."""
    disc.set_viewport_size({"width": 1366, "height": 768})
    judged(disc, "of-another-drop.png", parts.png(140, defective=True))
    sent = {f"run-{n}.png": parts.png(141 + n, defective=n not in (1, 3)) for n in range(14)}
    files = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in sent.items()]
    disc.set_input_files("#image", files)
    disc.wait_for_selector("#queue-words >> text=14 images: 2 good, 12 DEFECT", timeout=60_000)
    disc.wait_for_selector("#result[data-outcome=defective] h1 >> text=run-0.png")
    box = disc.locator("#verdict .badge.verdict").bounding_box()
    assert box["y"] + box["height"] < 600
    assert disc.locator("#queue").bounding_box()["height"] < 160
    disc.set_viewport_size({"width": 390, "height": 844})
    assert disc.locator("#queue-found li").first.bounding_box()["height"] >= 24, "rows are scrolled, not squeezed"
    disc.set_viewport_size({"width": 1366, "height": 768})
    disc.check("#next-part")
    say_defect(disc, "scratch")
    disc.wait_for_selector("#result h1 >> text=run-2.png")
    disc.wait_for_selector("#say-good")
    disc.locator("#queue-found >> text=run-13.png").click()
    disc.wait_for_selector("#result[data-inspection] h1 >> text=run-13.png")
    disc.wait_for_selector("#say-good")
    say_defect(disc)
    disc.wait_for_selector(
        "#next-none >> text=That was the last one to look at of these 14 images. 10 before it not reviewed."
    )
    assert disc.inner_text("#result h1") == "run-13.png"
    found = {record["filename"]: record["review"] for record in records(stack)}
    assert found["run-0.png"]["defect_type"] == "scratch"
    assert {name for name, review in found.items() if review and name in {*sent, "of-another-drop.png"}} == {
        "run-0.png",
        "run-13.png",
    }


def test_the_whole_picture_fits_the_screen_and_a_phone_is_not_told_to_drop(disc: Any) -> None:
    disc.set_viewport_size({"width": 390, "height": 844})
    assert "Drop an image" not in disc.inner_text("#result")
    disc.set_viewport_size({"width": 1366, "height": 768})
    judged(disc, "fits.png", parts.png(160))
    box = disc.locator("#result [data-pane] .stack").bounding_box()
    assert box["y"] + box["height"] <= 768


# ---------------------------------------------------------------- what is being typed
def test_a_comment_that_was_not_sent_stays_with_its_part(disc: Any, stack: Stack) -> None:
    first = judged(disc, "draft.png", parts.png(101))
    disc.fill("#comment", "look at the rim")
    assert disc.is_visible("#comment-unsent")
    judged(disc, "other.png", parts.png(102))
    assert disc.input_value("#comment") == ""
    wait_for(lambda: "comment not sent" in disc.inner_text(f"#s-{first}"), 10)
    disc.goto(stack.address + "/?category=disc")
    disc.click("#unsent >> text=draft.png")
    disc.wait_for_selector("#say-good")
    assert one_part(disc) == first
    assert disc.input_value("#comment") == "look at the rim"
    disc.click("#say-good")
    disc.wait_for_selector("#verdict .human.good")
    assert disc.input_value("#comment") == ""
    assert disc.locator("#unsent").is_hidden()
    disc.goto(f"{stack.address}/inspections/{first}/")
    assert "look at the rim" in disc.inner_text("#reviews")


def test_letters_of_a_comment_review_no_other_part(disc: Any, stack: Stack) -> None:
    judged(disc, "typing.png", parts.png(103))
    disc.click("#comment")
    disc.keyboard.type("scratch at the e")
    held: list[Any] = []
    disc.route("**/inspect", lambda route: held.append(route))
    drop(disc, "came-then.png", parts.png(104))
    wait_for(lambda: disc.wait_for_timeout(50) or held, 10)
    disc.keyboard.type("gd")
    held[0].continue_()
    disc.wait_for_selector("#result[data-inspection] h1 >> text=came-then.png")
    disc.keyboard.type("gdge")
    assert disc.evaluate("document.activeElement.id") != "defect_type"
    disc.wait_for_timeout(300)
    assert not [
        record
        for record in records(stack)
        if record["filename"] in ("typing.png", "came-then.png") and record["review"]
    ]
    disc.locator("#result h1").click()
    disc.keyboard.press("g")
    disc.wait_for_selector("#toasts >> text=came-then.png reviewed as GOOD")


def test_no_sign_in_opens_while_somebody_types(disc: Any, complaints: list[str]) -> None:
    judged(disc, "typed-on.png", parts.png(105))
    disc.click("#comment")
    disc.keyboard.type("first half, ")
    end_session(disc)
    disc.wait_for_selector("#signed-out:visible", timeout=15_000)
    assert not disc.is_visible("#sign-in")
    disc.keyboard.type("second half")
    assert disc.input_value("#comment") == "first half, second half"
    disc.keyboard.press("Tab")
    disc.wait_for_selector("#sign-in[open]")
    assert disc.input_value("#sign-in_password") == ""
    disc.fill("#sign-in_password", "not a password")
    disc.click("#sign-in-later")
    disc.click("#sign-in-now")
    disc.wait_for_selector("#sign-in[open]")
    assert disc.input_value("#sign-in_password") == ""
    sign_in_again(disc)
    disc.wait_for_selector("#sign-in:not([open])", state="attached")
    assert disc.input_value("#comment") == "first half, second half"
    forgive(complaints, "401")


def test_while_a_review_is_on_its_way_no_earlier_one_is_undone(disc: Any, stack: Stack) -> None:
    older, newer = (judged(disc, f"under-way-{n}.png", parts.png(90 + n)) for n in (1, 2))
    held: list[Any] = []
    say_defect(disc)
    disc.wait_for_selector("#toasts >> text=under-way-2.png reviewed")
    disc.click(f"#s-{older}")
    disc.wait_for_selector("#say-good")
    disc.route("**/line/review/*", lambda route: held.append(route))
    disc.locator("body").press("g")
    wait_for(lambda: disc.wait_for_timeout(50) or held, 10)
    disc.locator("body").press("u")
    disc.wait_for_timeout(300)
    held[0].continue_()
    disc.wait_for_selector("#toasts >> text=under-way-1.png reviewed as GOOD")
    disc.locator("body").press("u")
    disc.wait_for_selector("#toasts >> text=Undone: under-way-1.png")
    found = {record["inspection_id"]: record["review"] for record in records(stack)}
    assert found[newer]["verdict"] == "defective"
    assert found[older] is None


# ---------------------------------------------------------------- the category
def test_a_promotion_elsewhere_changes_nothing_here(visit: Callable[..., Any], stack: Stack) -> None:
    page = visit("otto")
    assert "What is inspected here?" in page.inner_text("#choose-category")
    assert page.locator("#upload").count() == 0
    drop(page, "before-the-choice.png", parts.png(60))
    page.wait_for_selector("#early >> text=before-the-choice.png is kept and sent after the choice.")
    page.click("#choose-category >> text=disc")
    page.wait_for_selector("#result[data-inspection] h1 >> text=before-the-choice.png")
    page.click("nav[aria-label=Main] >> text=History")
    with stack.client() as client:
        assert client.post("/api/load_model", json={"category": "nut"}).status_code == 200
    page.click("nav[aria-label=Main] >> text=Line")
    page.wait_for_selector(".strip .first >> text=disc")
    judged(page, "for-disc.png", parts.png(61))
    page.goto(stack.address + "/batches/")
    assert page.input_value("#id_category") == "disc"
    assert {record["category"] for record in records(stack) if record["filename"] == "for-disc.png"} == {"disc"}


def test_two_tabs_have_a_category_each(visit: Callable[..., Any], stack: Stack) -> None:
    discs = visit("ina", "/?category=disc")
    nuts = discs.context.new_page()
    nuts.goto(stack.address + "/?category=nut")
    judged(nuts, "a-nut.png", parts.png(62))
    judged(discs, "a-disc.png", parts.png(63))
    discs.reload()
    assert discs.inner_text(".strip .first") == "disc"
    found = {record["filename"]: record["category"] for record in records(stack)}
    assert (found["a-nut.png"], found["a-disc.png"]) == ("nut", "disc")


# ---------------------------------------------------------------- the session
def test_an_image_dropped_after_the_session_ended_waits_and_is_judged(disc: Any, complaints: list[str]) -> None:
    judged(disc, "signed-in.png", parts.png(71))
    end_session(disc)
    drop(disc, "waits.png", parts.png(72, defective=True))
    disc.wait_for_selector("#sign-in[open] #sign-in-waits")
    disc.fill("#sign-in_password", "a wrong guess")
    disc.press("#sign-in_password", "Enter")
    disc.wait_for_selector("#sign-in-failed >> text=do not match")
    sign_in_again(disc)
    disc.wait_for_selector("#result[data-outcome=defective] h1 >> text=waits.png")
    one_part(disc)
    assert disc.locator("#signed-in-as").is_hidden()
    forgive(complaints, "401", "422")


def test_a_typed_comment_outlives_the_session(disc: Any, stack: Stack, complaints: list[str]) -> None:
    shown = judged(disc, "commented.png", parts.png(73))
    disc.fill("#comment", "scratch at the rim")
    end_session(disc)
    disc.click("#say-defect")
    disc.wait_for_selector("#sign-in[open]")
    assert disc.input_value("#comment") == "scratch at the rim"
    sign_in_again(disc, "otto")
    disc.wait_for_selector("#send-waiting-list >> text=commented.png, comment scratch at the rim, verdict defective")
    assert not [record for record in records(stack) if record["inspection_id"] == shown and record["review"]]
    disc.click("#send-waiting >> text=Send it as otto")
    disc.wait_for_selector("#verdict .human.defective >> text=otto")
    assert "Signed in as otto, before: ina" in disc.inner_text("#signed-in-as")
    assert one_part(disc) == shown
    disc.goto(f"{stack.address}/inspections/{shown}/")
    assert "scratch at the rim" in disc.inner_text("#reviews")
    forgive(complaints, "401")


@pytest.mark.parametrize("way", ["button", "key"])
def test_a_review_that_waits_is_sent_as_it_was_made(disc: Any, complaints: list[str], way: str) -> None:
    shown = judged(disc, f"later-{way}.png", parts.png(75))
    for _ in range(2):  # the session is over a second time before it was sent
        end_session(disc)
        if way == "key":
            say_defect(disc)
        else:
            disc.click("#say-defect")
        disc.wait_for_selector("#sign-in[open]")
        disc.click("#sign-in-later")
    disc.focus("#say-good")
    disc.click("#sign-in-now")
    sign_in_again(disc)
    disc.wait_for_selector("#verdict .human.defective >> text=ina")
    assert one_part(disc) == shown
    assert disc.locator("#verdict .notice.error").count() == 0
    assert "ina, before" not in disc.inner_text("#signed-in-as")
    forgive(complaints, "401")


def test_all_that_waits_goes_on_in_order(disc: Any, stack: Stack, complaints: list[str]) -> None:
    first, second = (judged(disc, f"waits-{n}.png", parts.png(76 + n)) for n in (1, 2))
    end_session(disc)
    disc.fill("#comment", "dust on the lens")
    disc.click("#say-defect")
    disc.click("#sign-in-later")
    drop(disc, "dropped.png", parts.png(79))
    disc.wait_for_selector("#sign-in[open]")
    disc.click("#sign-in-later")
    assert "WAITING" in disc.inner_text("#result")
    disc.click("#sign-in-now")
    sign_in_again(disc)
    disc.wait_for_selector("#result[data-outcome] h1 >> text=dropped.png")
    disc.wait_for_selector("#toasts >> text=waits-2.png reviewed as DEFECT")
    found = {record["inspection_id"]: record["review"] for record in records(stack)}
    assert found[second]
    assert not found[first]
    assert disc.locator("#not-sent").is_hidden()
    disc.goto(f"{stack.address}/inspections/{second}/")
    assert "dust on the lens" in disc.inner_text("#reviews")
    forgive(complaints, "401")


def test_another_person_does_not_send_what_waits_unasked(disc: Any, stack: Stack, complaints: list[str]) -> None:
    shown = judged(disc, "of-ina.png", parts.png(80))
    end_session(disc)
    disc.fill("#comment", "said by ina")
    disc.click("#say-defect")
    disc.wait_for_selector("#sign-in[open]")
    disc.click("#sign-in-later")
    drop(disc, "image-of-ina.png", parts.png(83))
    sign_in_again(disc, "otto")
    disc.wait_for_selector("#send-waiting-list >> text=image-of-ina.png")
    disc.click("#send-waiting-not")
    disc.wait_for_selector("#not-sent >> text=of-ina.png, comment said by ina, verdict defective")
    disc.wait_for_selector("#result >> text=NOT SENT")
    found = records(stack)
    assert not [record for record in found if record["filename"] == "image-of-ina.png"]
    assert not [record for record in found if record["inspection_id"] == shown and record["review"]]
    drop(disc, "of-otto.png", parts.png(84))
    disc.wait_for_selector("#result[data-outcome] h1 >> text=of-otto.png")
    forgive(complaints, "401")


def test_on_other_pages_too_what_was_typed_waits(visit: Callable[..., Any], complaints: list[str]) -> None:
    page = visit("ina", "/settings/")
    page.fill("#id_station", "bench 4")
    end_session(page)
    page.locator("form:has(#id_station) button").first.click()
    with page.expect_navigation():  # signed in, the form is sent
        sign_in_again(page)
    assert page.input_value("#id_station") == "bench 4"
    page.reload()
    assert page.input_value("#id_station") == "bench 4"
    forgive(complaints, "401")


def test_without_scripts_the_sign_in_page_says_that_the_image_was_not_received(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    image = tmp_path / "plain.png"
    image.write_bytes(parts.png(74))
    page = visit("otto", "/?category=disc", java_script_enabled=False)
    page.set_input_files("#image", str(image))
    end_session(page)
    page.click("#upload button.primary")
    assert "The file was not received" in page.inner_text("main")
    page.fill("#id_username", "otto")
    page.fill("#id_password", PASSWORD)
    page.click("button.primary")
    assert "category=disc" in page.url


# ---------------------------------------------------------------- nobody judges
def test_a_line_without_a_worker_says_so_and_judges_the_kept_image_later(disc: Any, stack: Stack) -> None:
    judged(disc, "working.png", parts.png(81))
    with nobody_judging(stack):
        disc.wait_for_selector(
            ".judging.bad >> text=/The inspection service has been down since [0-9]{2}:[0-9]{2}/", timeout=30_000
        )
        drop(disc, "kept.png", parts.png(82, defective=True))
        disc.wait_for_selector(".judging.bad >> text=1 image waiting", timeout=15_000)
        disc.wait_for_selector("#result >> text=kept.png was not judged", timeout=40_000)
        text = disc.inner_text("#result")
        assert "The inspection service is down." in text
        assert "The image is kept" in text
        assert "Call support" in text
        assert not re.search("manage.py|make run|worker", text)
        assert one_part(disc) == ""
        disc.goto(stack.address + "/inspections/")
        disc.goto(stack.address + "/?category=disc")
        disc.wait_for_selector("#latest .unjudged >> text=kept.png")
        assert "Not ready" in disc.inner_text("#result")
    wait_for(lambda: disc.wait_for_timeout(100) or disc.locator(".judging.bad").count() == 0, 60)
    disc.click(".unjudged [data-again] button")
    disc.wait_for_selector("#result[data-outcome=defective] h1 >> text=kept.png")
    one_part(disc)
    disc.wait_for_selector(".unjudged", state="detached")
    assert len([record for record in records(stack) if record["filename"] == "kept.png"]) == 1
