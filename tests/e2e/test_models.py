"""Models in the browser: figures and lineage, two versions side by side, promoting and rolling back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.e2e.conftest import violations
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture(scope="module")
def pair(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """The version that serves, and a candidate."""
    with stack.client() as client:
        serving = client.get("/api/status").json()["model"]["model_version"]
    folder: Path = parts.write_dataset(tmp_path_factory.mktemp("more") / "disc")
    words = ("--image-size", "64", "--backbone", "efficientnet_lite0", "--seed", "7")
    return serving, stack.json("train", "--model", "padim", "--dataset", str(folder), *words)["model_version"]


def test_a_candidate_is_compared_promoted_and_rolled_back(visit: Callable[..., Any], pair: tuple[int, int]) -> None:
    serving, candidate = pair
    page = visit(path="/models/")
    for version in pair:
        page.check(f"input[value='{version}']")
    with page.expect_navigation():
        page.click("button >> text=Compare")
    assert "seed" in page.inner_text("main")
    page.goto(f"{page.url.split('/models/')[0]}/models/{candidate}/")
    page.fill("#reason", "better in every way")
    with page.expect_navigation():
        page.click("button >> text=Promote")
    assert "is in production" in page.inner_text("[role=status]")
    page.fill("#reason", "not better after all")
    with page.expect_navigation():
        page.click("button >> text=Roll back")
    assert page.url.endswith(f"/models/{serving}/")
    assert "is in production" in page.inner_text("[role=status]")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_everybody_can_read_it(visit: Callable[..., Any], pair: tuple[int, int], scheme: str, width: int) -> None:
    page = visit(path="/models/", color_scheme=scheme, viewport={"width": width, "height": 900})
    serving, candidate = pair
    for path in ("", f"{candidate}/", f"compare/?a={serving}&b={candidate}"):
        page.goto(f"{page.url.split('/models/')[0]}/models/{path}")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_who_may_not_deploy_sees_it_all_and_does_nothing(visit: Callable[..., Any], pair: tuple[int, int]) -> None:
    page = visit("otto", path=f"/models/{pair[1]}/")
    assert "Lineage" in page.inner_text("main")
    assert page.locator("main form").count() == 0
