"""From an uploaded archive to a trained version and its report, in the distribution's Chromium."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = parts.write_dataset(tmp_path_factory.mktemp("sent") / "washer", train=8, good=3, bad=3)
    target = root.parent / "washer.zip"
    with zipfile.ZipFile(target, "w") as packed:
        for file in sorted(root.rglob("*.png")):
            packed.write(file, file.relative_to(root.parent))
    return target


def test_an_archive_becomes_a_data_set_a_version_and_a_report(visit: Callable[..., Any], archive: Path) -> None:
    page = visit("ina", "/datasets/")
    broken = archive.parent / "broken.zip"
    broken.write_bytes(b"not an archive")
    page.set_input_files("#id_archive", str(broken))
    page.click("form[aria-labelledby=archive-title] button")
    page.wait_for_selector("[role=alert] >> text=broken.zip was not imported")
    page.set_input_files("#id_archive", str(archive))
    page.click("form[aria-labelledby=archive-title] button")
    page.wait_for_selector("text=What would be imported")
    assert violations(page) == []
    page.click("button >> text=Import 14 images")
    page.wait_for_selector("h1 >> text=washer")
    page.locator("a.chip >> text=scratch").click()
    page.wait_for_selector(".masked .over")
    assert page.locator(".sheet li").count() == 3
    page.click("text=Train on this data set")
    page.fill("#id_padim-image_size", "64")
    page.select_option("#id_padim-backbone", "efficientnet_lite0")
    page.click("text=Start training")
    page.wait_for_selector("h1 >> text=Training run")
    page.wait_for_selector("text=Full report", timeout=90_000)
    assert "evaluated 6 of 6 test images" in page.inner_text("#log")
    page.click("text=Full report")
    page.wait_for_selector("text=ROC, images")
    assert page.locator(".sheet.judged img").count() >= 6
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_and_fit_a_phone(visit: Callable[..., Any], scheme: str) -> None:
    page = visit("ina", "/training/", color_scheme=scheme, viewport={"width": 390, "height": 800})
    run = page.locator("#runs a[href^='/training/']").first.get_attribute("href")
    for path in ("/training/", "/training/new/", run, "/datasets/", "/datasets/1/", "/datasets/from-reviews/"):
        page.goto(page.url.partition("/training/")[0].partition("/datasets/")[0] + path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_without_scripts_an_archive_is_imported_and_a_run_starts_and_is_cancelled(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    root = parts.write_dataset(tmp_path / "plain", train=3, good=1, bad=0)
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as packed:
        for file in sorted(root.rglob("*.png")):
            packed.write(file, file.relative_to(root.parent))
    page = visit("ina", "/datasets/", java_script_enabled=False)
    page.set_input_files("#id_archive", str(tmp_path / "plain.zip"))
    page.click("form[aria-labelledby=archive-title] button")
    page.click("a[href='?now=1']")  # in <noscript>, whose text Playwright does not look for
    page.click("button >> text=Import 4 images")
    page.wait_for_selector("h1 >> text=plain")
    page.click("text=Train on this data set")
    page.check("input[value=autoencoder]")
    page.fill("#id_autoencoder-epochs", "10000")
    page.click("text=Start training")
    page.wait_for_selector("a >> text=Refresh")
    page.click("text=Cancel the run")
    page.wait_for_selector("[role=status]")
    assert "cancelled" in page.inner_text("main") or "stops at its next step" in page.inner_text("main")


def test_a_folder_of_good_parts_is_previewed_and_imported_on_a_click(visit: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "knob"
    folder.mkdir()
    for seed in range(3):
        (folder / f"part-{seed}.png").write_bytes(parts.png(seed + 70))
    (folder / "notes.png").write_bytes(b"no image")
    page = visit("ina", "/datasets/")
    page.set_input_files("#id_folder", str(folder))
    page.wait_for_selector("h1 >> text=Preview of knob")
    page.wait_for_selector("caption >> text=1 file left out")
    assert "notes.png" in page.inner_text("#preview")
    assert violations(page) == []
    page.click("button >> text=Import 3 images")
    page.wait_for_selector("h1 >> text=knob")
    page.wait_for_selector("main .tiles")
    assert "Training images\n3 good" in page.inner_text("main .tiles")


def test_an_upload_is_read_differently_and_dropped_by_keyboard(visit: Callable[..., Any], tmp_path: Path) -> None:
    files = [tmp_path / f"part-{seed}.png" for seed in range(2)]
    for seed, file in enumerate(files):
        file.write_bytes(parts.png(seed + 90))
    page = visit("ina", "/datasets/")
    page.fill("#id_images_name", "lever 9")
    page.set_input_files("#id_images", list(map(str, files)))
    page.focus("#good-images button")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=What would be imported")
    page.focus("summary >> text=Read it differently")
    page.keyboard.press("Enter")
    page.fill("#id_good", "nowhere")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert] >> text=no folder 'nowhere'")
    assert violations(page) == []
    page.focus("button >> text=Drop it")
    page.keyboard.press("Enter")
    page.wait_for_selector("#good-images")
    assert "was dropped. Nothing was imported" in page.inner_text("body")


def test_a_folder_that_is_dropped_is_previewed(visit: Callable[..., Any]) -> None:
    page = visit("ina", "/datasets/")
    page.evaluate(
        """async images => {
          const file = ([name, bytes]) => new File([new Uint8Array(bytes)], name, {type: "image/png"});
          const entries = images.map(image => ({isFile: true, name: image[0], file: done => done(file(image))}));
          let left = [entries];
          const folder = {isFile: false, name: "lever", createReader: () => ({
            readEntries: done => done(left.length ? left.pop() : [])})};
          const event = new DragEvent("drop", {bubbles: true, cancelable: true});
          Object.defineProperty(event, "dataTransfer",
            {value: {items: [{webkitGetAsEntry: () => folder}], files: []}});
          document.getElementById("good-images").dispatchEvent(event);
        }""",
        [[f"{seed}.png", list(parts.png(seed + 80))] for seed in range(2)],
    )
    page.wait_for_selector("h1 >> text=Preview of lever")
    page.wait_for_selector("button >> text=Import 2 images")


def test_what_is_painted_on_the_mean_image_is_not_judged(visit: Callable[..., Any], tmp_path: Path) -> None:
    """A stroke, a polygon and the keys; trained with it; version, run and record show it hatched."""
    root = parts.write_dataset(tmp_path / "ring", train=8, good=1, bad=0)
    with zipfile.ZipFile(tmp_path / "ring.zip", "w") as packed:
        for file in sorted(root.rglob("*.png")):
            packed.write(file, file.relative_to(root.parent))
    page = visit("ina", "/datasets/")
    page.set_input_files("#id_archive", str(tmp_path / "ring.zip"))
    page.click("form[aria-labelledby=archive-title] button")
    page.click("button >> text=Import 9 images")
    page.click("text=Train on this data set")
    page.click("text=Draw ignored regions")
    page.wait_for_selector(".mask-editor.ready")
    told = page.locator("[data-share]")
    assert told.inner_text() == "Nothing is ignored yet"
    assert page.locator("[data-save]").is_disabled()
    canvas = page.locator(".mask-frame canvas")
    box = canvas.bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.1, 0.9))
    page.mouse.down()
    page.mouse.move(*at(0.4, 0.9), steps=5)
    page.mouse.up()
    stroke = told.inner_text()
    assert stroke.endswith("% of the image is ignored")
    page.keyboard.press("p")
    for corner in ((0.05, 0.5), (0.45, 0.5), (0.45, 0.95), (0.05, 0.95)):
        page.mouse.click(*at(*corner))
    page.keyboard.press("Enter")
    polygon = told.inner_text()
    assert polygon.startswith(("18 %", "19 %"))
    page.keyboard.press("u")
    assert told.inner_text() == stroke
    page.keyboard.press("r")
    assert told.inner_text() == polygon
    page.click("text=Invert")
    assert told.inner_text().startswith(("81 %", "82 %"))
    page.keyboard.press("Control+z")
    page.click("text=Brush")
    for _ in range(6):
        page.keyboard.press("]")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert told.inner_text() != polygon
    page.click("text=Undo")
    assert told.inner_text() == polygon
    page.click("[data-zoom=in]")
    assert canvas.bounding_box()["width"] > box["width"]
    assert violations(page) == []
    page.click("text=Save and choose options")
    page.wait_for_selector(".ignored-picture")
    page.fill("#id_padim-image_size", "64")
    page.select_option("#id_padim-backbone", "efficientnet_lite0")
    page.click("text=Start training")
    page.wait_for_selector("text=Full report", timeout=90_000)
    assert page.locator(".ignored-picture").count() == 1
    page.click("a.button >> text=Model")
    page.wait_for_selector("text=Hatched: not judged")
    assert violations(page) == []
    page.click("text=Change them and train a new version")
    page.wait_for_selector(".mask-editor.ready")
    assert page.locator("[data-share]").inner_text().endswith("% of the image is ignored")
