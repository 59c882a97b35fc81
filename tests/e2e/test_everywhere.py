"""What holds on every page: anybody can read it, it fits a phone, nothing is inline, nothing leaves the origin.

What the line may weigh: test_line.py. Requests that leave and what the browser complains of: the fixture `visit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from inspection.benchmarks.pages import NAMES, PARTS
from tests import parts
from tests.e2e.conftest import violations
from tests.stack.conftest import Stack

# Addresses that answer a form with a page above or with a redirect, and files.
_NO_PAGES = {
    *("session", "line-judge-again", "history-rows", "reviews-undo", "default-category"),
    *(
        "healthz",
        "readyz",
        "metrics",
        "logout",
        "inspect",
        "line-review",
        "history-keep",
        "history-forget",
        "inspection-review",
    ),
    *(
        "inspection-certificate",
        "model-promote",
        "model-roll-back",
        "model-archive",
        "model-approve",
        "model-withdraw-approval",
        "batch-cancel",
        "audit-verify",
        "audit-verify-all",
    ),
    *(
        "settings-browser",
        "settings-password",
        "settings-tokens",
        "settings-revoke",
        "user-act",
        "user-revoke",
        "retention-set",
        "retention-start",
    ),
    *("oidc", "oidc-callback"),
    *("sampling-plan-set", "blind-review-decide", "review-queue-take", "review-queue-decide", "review-budget-set"),
    # Of a study that people began: tests/quality/measurement_system.
    *("measurement-study", "measurement-study-judge"),
    *("challenger-stop", "canary-end", "disagreement-mark"),
    # Of a connection that people made, and the form of a kind: tests/edge/connections.
    *("connection-new", "connection-secret", "connection-end-secrets", "connection-resend"),
    *("edge-node-create", "edge-node-act"),  # tests/edge/nodes
    *("report-picture", "report-issue", "report-schedule-end", "statement-issue"),
    "statement",  # tests/e2e/test_statements.py
    *("connection-live", "connection-live-state", "connection-live-frame"),  # tests/edge/cameras
    "report-schedule",  # the form of the list, filled
    *("model-retrain", "comparison-start", "comparison"),
    *("drift-restart", "alarm-acknowledge", "alarm-comment", "alarm-resolve"),
    *("reference-part-add", "reference-part-retire"),
    # tests/e2e/test_parts.py: a part is no single image, of which the others are full.
    *("part-certificate", "part-layout", "part-layout-set", "part-layout-retire"),
    *("scale-picture", "scale-picture-file"),
    # Pages of what is there after a drift alone: test_monitoring.py.
    *("drift-monitor", "alarm", "reference-part"),
    *("dataset-thumbnail", "dataset-outline", "dataset-mean-image", "dataset-picture", "run-cancel"),
    # The preview of an upload is a page of its own, which lasts an hour: test_training.py reads and checks it.
    *("dataset-upload", "dataset-upload-progress"),
}


def names(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Of all addresses that are the product's own pages."""
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield str(pattern.name)
        elif not path.startswith(("api/", "admin/")):
            yield from names(pattern, path)


def test_no_page_is_forgotten() -> None:
    api, known = {"schema", "api-docs"}, set(names(get_resolver()))
    assert known - api - _NO_PAGES - {"login"} - NAMES == set()
    assert known >= _NO_PAGES


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_for_everybody(
    visit: Callable[..., Any], addresses: dict[str, str], stack: Stack, scheme: str
) -> None:
    page = visit("ada", color_scheme=scheme, viewport={"width": 390, "height": 844})
    wrong = []
    for name, path in addresses.items():
        if name in PARTS:
            wrong += [f"{name}: {what}" for what in _policy(page.request.get(stack.address + path))]
        else:
            answer = page.goto(stack.address + path)
            wrong += [f"{name}: {what}" for what in [*_policy(answer), *_page(page)]]
    page.click(".rail .more")
    with page.expect_navigation():
        page.click("text=Sign out")
    wrong += [f"login: {what}" for what in _page(page)]
    assert wrong == []


def _policy(answer: Any) -> list[str]:
    policy = answer.headers.get("content-security-policy", "")
    said = [f"answered {answer.status}"] if answer.status != 200 else []
    return said + [f"policy: {policy}"] * ("default-src 'self'" not in policy or "unsafe" in policy)


def _page(page: Any) -> list[str]:
    found = violations(page)
    width = page.evaluate("document.documentElement.scrollWidth")
    headings = page.locator("h1").count()
    return [
        *found,
        *[f"{width} px wide"] * (width > 390),
        *[f"{headings} h1"] * (headings != 1),
        *["no title"] * (not page.title().strip()),
    ]


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until it has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab does not reach {selector}")


@pytest.mark.stack
@pytest.mark.slow
def test_upload_review_and_history_by_nothing_but_keys(visit: Callable[..., Any], tmp_path: Path) -> None:
    image = tmp_path / "keys.png"
    image.write_bytes(parts.png(31, defective=True))
    page = visit("otto")
    page.on("filechooser", lambda chooser: None)  # asked for in time: a dialog that nobody waits for would open
    tab_to(page, "#image")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(str(image))
    page.wait_for_selector("#result >> text=keys.png")
    page.wait_for_selector(".verdict.defective")
    page.keyboard.press("g")
    page.wait_for_selector("#verdict .human.good >> text=otto")
    tab_to(page, ".rail a[href='/inspections/']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/inspections/*-*/**")
    assert "keys.png" in page.inner_text("main")
    assert "overrules the model" in page.inner_text("#standing")


@pytest.mark.stack
@pytest.mark.slow
def test_from_upload_to_threshold_without_scripts(visit: Callable[..., Any], tmp_path: Path, stack: Stack) -> None:
    image = tmp_path / "plain.png"
    image.write_bytes(parts.png(32, defective=True))
    page = visit("ina", java_script_enabled=False)
    page.click(".about-part summary")
    page.fill("#id_serial_number", "PLAIN-1")
    page.set_input_files("#image", str(image))
    page.click("#upload button.primary")
    page.wait_for_selector(".verdict.defective")
    page.click("#latest >> text=All inspections")
    page.fill("input[name=search]", "PLAIN-1")
    page.press("input[name=search]", "Enter")
    page.click("#records >> text=PLAIN-1")
    page.click("#review button[value=good]")
    assert "overrules the model" in page.inner_text("#standing")
    page.goto(stack.address + "/thresholds/")
    page.click("main th >> text=disc")
    value = page.input_value("#threshold")
    page.fill("#threshold", "0.5")
    page.click("#preview button")
    page.fill("#reason", "without scripts")
    page.click("#applied button")
    assert "0.5" in page.inner_text("[role=status]")
    page.click("summary >> text=Undo revision")
    page.fill("#undo-reason", "as before")
    page.click("button >> text=again, as revision")
    assert float(page.input_value("#threshold")) == float(value)
