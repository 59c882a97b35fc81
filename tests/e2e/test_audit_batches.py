"""Batches, audit history, settings and help in the distribution's Chromium, against the running system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import parts
from tests.e2e.conftest import violations

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def write(folder: Path, good: tuple[int, ...], defective: tuple[int, ...] = ()) -> list[str]:
    paths = []
    for index in (*good, *defective):
        path = folder / f"part-{index}.png"
        path.write_bytes(parts.png(index, defective=index in defective))
        paths.append(str(path))
    (folder / "broken.png").write_bytes(b"not an image")
    return [*paths, str(folder / "broken.png")]


def test_a_batch_is_started_followed_to_its_end_and_found_in_the_audit(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit("ina", "/batches/")
    page.set_input_files("#id_images", write(tmp_path, good=(2, 3), defective=(1, 6)))
    page.fill("#id_lot", "L-42")
    page.click("text=Start batch")
    page.wait_for_selector("h1 >> text=5 files")
    page.wait_for_selector("#live-batch >> text=Finished", timeout=30_000)
    assert page.locator(".sheet .badge.good").count() == 2
    assert page.locator(".sheet .badge.defective").count() == 2
    assert "broken.png" in page.inner_text(".failures")
    assert violations(page) == []
    page.click("a.chip:has-text('Defect')")
    page.wait_for_url("**/?show=defective")
    assert page.locator(".sheet .badge.defective").count() == 2
    assert page.locator(".sheet .badge.good").count() == 0
    address = page.url.split("?")[0]
    auditor = visit("audrey", "/audit/?kind=batch.requested", color_scheme="dark")
    assert auditor.locator(f".events a[href='{urlsplit(address).path}']").count() == 1
    auditor.click("text=Verify the last 1,000")
    auditor.wait_for_selector("#verified.done")
    assert violations(auditor) == []


def test_without_scripts_a_batch_works_too(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit("otto", "/batches/", java_script_enabled=False)
    page.set_input_files("#id_images", write(tmp_path, good=(2,)))
    page.click("text=Start batch")
    page.wait_for_selector("h1 >> text=2 files")
    for _ in range(40):
        if page.locator("text=Finished").count():
            break
        page.wait_for_timeout(250)
        page.click("text=Refresh") if page.locator("text=Refresh").count() else page.reload()
    assert page.locator("text=Finished").count()


def test_a_token_and_a_theme_of_ones_own(visit: Callable[..., Any]) -> None:
    page = visit("otto", "/settings/")
    page.check("input[name=theme][value=dark]")
    page.click("text=Save")
    page.wait_for_selector("html[data-theme=dark]")
    page.fill("#id_name", "camera")
    page.click("text=Issue a token")
    assert page.input_value("#key").startswith("mvt_")
    assert violations(page) == []
    page.click("summary[aria-label='Revoke camera']")
    page.click("text=Yes, revoke camera")
    page.wait_for_selector(".notice.done >> text=was revoked")
    assert page.locator("a[href='/audit/']").count() == 0
