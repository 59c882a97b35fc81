"""Monitoring in the browser: the charts of a station whose lamp went dim, and the alarm that it opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import running_stack, violations
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]
_DRIFT = (
    "from modelzoo.models import Deployment; from tests.monitoring.streams import drifted;"
    "drifted(Deployment.objects.filter(status='active').first().model_version, station='4')"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Of its own: the records that are made up here have no pictures, which other pages would miss."""
    with running_stack() as made:
        yield made


@pytest.fixture(scope="module")
def drift(stack: Stack) -> None:
    stack.manage("shell", "--verbosity", "0", "--command", _DRIFT)


@pytest.mark.usefixtures("drift")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_everybody_can_read_it(visit: Callable[..., Any], scheme: str, width: int) -> None:
    page = visit(path="/monitoring/", color_scheme=scheme, viewport={"width": width, "height": 900})
    station = "tr:has-text('out of control') th a[href*='/drift/']"
    for link in (None, station, "main a[href*='/alarms/']"):
        if link:
            with page.expect_navigation():
                page.click(link)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("drift")
def test_an_alarm_is_acknowledged_and_resolved(visit: Callable[..., Any]) -> None:
    page = visit(path="/monitoring/")
    page.click("table a[href*='/alarms/']")
    with page.expect_navigation():
        page.click("button >> text=Acknowledge")
    page.fill("#cause", "lamp replaced")
    with page.expect_navigation():
        page.click("button >> text=Resolve")
    assert "lamp replaced" in page.inner_text("main")
