"""What ties the pages together: each step needs what another page did.

The steps by themselves, and what can go wrong there: a dropped image and its review test_line.py, the record
test_record.py, filters test_history.py, the slider test_thresholds.py, archives and runs test_training.py, promoting
test_models.py, batches and the audit history test_audit_batches.py; all without scripts, and by keys alone,
test_everywhere.py.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import drop, sign_in
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]
_EVERYBODY = ["Line", "History", "Thresholds", "Models", "Training", "Monitoring", "Batches", "Quality", "Reports"]
_RAILS = {
    "otto": [*_EVERYBODY, "Settings", "Help", "API"],
    "ina": [*_EVERYBODY, "Settings", "Help", "API"],
    "audrey": [*_EVERYBODY, "Audit", "Settings", "Help", "API"],
    "ada": [*_EVERYBODY, "Audit", "Settings", "Help", "Users", "Admin", "API"],
}
# What is offered where, and to whom.
_OFFERS = (
    ("/", "#upload", "otto ina ada"),
    ("/inspections/", ".selection button[value=good]", "otto ina ada"),
    ("/inspections/", "a[href*='/export']", "ina audrey ada"),
    ("/thresholds/{version}/?threshold=0.5", "#applied", "ina ada"),
    ("/datasets/", "#id_archive", "ina ada"),
    ("/training/", "a[href='/training/new/']", "ina ada"),
    ("/batches/", "#id_images", "otto ina ada"),
)


def model_in_force(stack: Stack) -> dict[str, Any]:
    with stack.client() as client:
        model: dict[str, Any] = client.get("/api/status").json()["model"]
        return model


def test_a_verdict_is_overruled_found_again_and_moves_the_threshold(visit: Callable[..., Any], stack: Stack) -> None:
    page = visit("ina")
    page.context.clear_cookies()
    sign_in(page, stack)
    page.click(".about-part summary")
    page.fill("#id_serial_number", "JOURNEY-1")
    drop(page, "journey.png", parts.png(51, defective=True))
    page.wait_for_selector(".verdict.defective")
    page.wait_for_selector("#result img.heat")
    page.click("#say-good")
    page.wait_for_selector("#verdict .human.good >> text=ina")

    page.goto(stack.address + "/inspections/?outcome=defective&overruled=yes")
    assert "JOURNEY-1" in page.inner_text("#records")
    page.keyboard.press("/")
    page.keyboard.type("JOURNEY")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=JOURNEY*")
    page.click("#records >> text=JOURNEY-1")
    page.wait_for_url("**/inspections/*-*/**")
    with stack.client() as client:
        [record] = client.get("/api/inspections", params={"serial_number": "JOURNEY-1"}).json()["results"]
        score = client.get(f"/api/inspections/{record['inspection_id']}").json()["reconstruction_error"]

    before = model_in_force(stack)
    page.goto(f"{stack.address}/thresholds/{before['model_version']}/?threshold={score * 1.05}")
    page.fill("#reason", "JOURNEY-1 was good")
    with page.expect_navigation():
        page.click("#applied button")
    assert "is active" in page.inner_text("[role=status]")
    page.goto(stack.address)
    assert f"revision {before['threshold_revision'] + 1}" in page.inner_text("#state")
    drop(page, "again.png", parts.png(51, defective=True))
    page.wait_for_selector(".verdict.good")
    page.goto(f"{stack.address}/thresholds/{before['model_version']}/?threshold={before['threshold']}")
    page.fill("#reason", "as before")
    with page.expect_navigation():
        page.click("#applied button")
    assert model_in_force(stack)["threshold"] == pytest.approx(before["threshold"])


def test_from_an_archive_to_production_and_back(visit: Callable[..., Any], stack: Stack, tmp_path: Path) -> None:
    before = model_in_force(stack)
    root = parts.write_dataset(tmp_path / "disc", train=8, good=2, bad=2)
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as packed:
        for file in sorted(root.rglob("*.png")):
            packed.write(file, file.relative_to(tmp_path))
    page = visit("ina", "/datasets/")
    page.set_input_files("#id_archive", str(tmp_path / "disc.zip"))
    page.click("form[aria-labelledby=archive-title] button")
    page.click("button >> text=Import 12 images")
    page.click("text=Train on this data set")
    page.fill("#id_padim-image_size", "64")
    page.select_option("#id_padim-backbone", "efficientnet_lite0")
    page.click("text=Start training")
    page.wait_for_selector("text=Full report", timeout=90_000)
    page.click("main a[href^='/models/']")
    page.wait_for_url("**/models/*/")
    trained = int(page.url.rstrip("/").rpartition("/")[2])
    assert trained != before["model_version"]
    page.fill("#reason", "newer data")
    with page.expect_navigation():
        page.click("button >> text=Promote")
    page.goto(stack.address)
    drop(page, "promoted.png", parts.png(52))
    page.wait_for_selector("#result >> text=promoted.png")
    assert model_in_force(stack)["model_version"] == trained
    number = model_in_force(stack)["version_number"]
    assert f"v{number}" in page.inner_text("#verdict .facts")
    page.goto(f"{stack.address}/models/{trained}/")
    page.fill("#reason", "not better after all")
    with page.expect_navigation():
        page.click("button >> text=Roll back")
    assert model_in_force(stack)["model_version"] == before["model_version"]
    page.goto(stack.address)
    assert f"v{before['version_number']}" in page.inner_text("#state")


@pytest.mark.parametrize("person", _RAILS)
def test_everybody_is_offered_what_they_may_do(visit: Callable[..., Any], stack: Stack, person: str) -> None:
    page = visit(person, java_script_enabled=False)
    assert page.locator(".rail nav li").all_inner_texts() == _RAILS[person]
    version = model_in_force(stack)["model_version"]
    for path, selector, people in _OFFERS:
        page.goto(stack.address + path.format(version=version))
        assert (page.locator(selector).count() > 0) == (person in people.split()), (path, selector)
    assert page.request.get(stack.address + "/audit/").status == (200 if person in ("audrey", "ada") else 404)
    assert page.request.get(stack.address + "/training/new/").status == (200 if person in ("ina", "ada") else 403)
