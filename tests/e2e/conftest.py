"""A running system with people of every role, and the distribution's Chromium to use it as they would."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from tests import parts
from tests.stack.conftest import Stack, new_stack, trained

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PASSWORD = "a-long-password"
PEOPLE = {"otto": "operator", "ina": "engineer", "audrey": "auditor", "ada": "admin"}
_ADDRESSES = "import json; from inspection.benchmarks.pages import addresses; print(json.dumps(addresses()))"
_DROP = """async ([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


# Enough for every test of a file to have one of its own, whoever else's it signs out of.
_SESSIONS = 100
_MAKE_PEOPLE = """
import json
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from tests.conftest import person

def session(user):
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value

with transaction.atomic():
    for name, role in {people!r}.items():
        User.objects.filter(username=name).exists() or person(name, role)
    print(json.dumps({{u.username: [session(u) for _ in range({count})] for u in User.objects.all()}}))
"""


def make_people(stack: Stack) -> None:
    """One of every role; and sessions for them, because a password takes half a second each time that it is checked."""
    script = _MAKE_PEOPLE.format(people=PEOPLE, count=_SESSIONS)
    stack.sessions = json.loads(stack.manage("shell", "--verbosity", "0", "--command", script).stdout)


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """A system with people and a model in production."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with new_stack(trained("--illumination", "flatfield")) as made:
        make_people(made)
        made.start()
        with made.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
        yield made


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Shared by all tests in the browser that leave records as a line leaves them."""
    with running_stack() as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


# A verified audit log, an audited shift, the containment of an escape, and a challenger.
_QUALITY = """
from django.contrib.auth.models import User
from inspection.models import Inspection
from inspection.reviews.services import record_review
from quality.containment.services import request_containment
from records.audit.verification import request_verification
from reports.content.scope import parse_scope
from reports.issued.services import issue_report
from tests.quality.audited import close, plan
request_verification(actor=None)
passed = Inspection.objects.filter(outcome="good", map__isnull=False).order_by("-created_at").first()
plan(passed.category)
close(passed.category)
ina = User.objects.get(username="ina")
record_review(inspection=passed, verdict="defective", actor=ina)
request_containment(escape=Inspection.objects.get(pk=passed.pk), reason="complaint 7", actor=ina)
from modelzoo.models import ModelVersion
from rollout.challengers.services import start_challenger
start_challenger(version=ModelVersion.objects.filter(stage="candidate").last(), reason="trial", actor=ina)
issue_report(scope=parse_scope({"kind": "day"}), actor=ina)
"""


@pytest.fixture(scope="package")
def addresses(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of every page, by name: there is something of each kind to show."""
    from inspection.benchmarks.pages import NAMES  # not above: what takes screenshots has no settings

    folder = parts.write_dataset(tmp_path_factory.mktemp("everywhere") / "disc", train=6, good=2, bad=2)
    words = ("--image-size", "64", "--backbone", "efficientnet_lite0")
    stack.json("train", "--model", "padim", "--dataset", str(folder), *words)
    with stack.client() as client:
        files = [("images", (f"{seed}.png", parts.png(seed, defective=seed == 1), "image/png")) for seed in (1, 2)]
        assert client.post("/api/batch_test", files=files, data={"wait": "60"}).json()["done"] == 2
        [candidate, *_] = client.get("/api/model-versions", params={"stage": "candidate"}).json()["results"]
        trial = {"model_version": candidate["id"], "station": "trial", "reason": "trial"}
        canary = client.post("/api/canaries", json=trial).json()
        assert client.post(f"{canary['url']}/end", json={"reason": "shown"}).status_code == 200
        webhook = {"name": "shown", "kind": "webhook", "settings": {"url": "https://mes.example/"}, "enabled": False}
        secrets = {"signing_secret": "at least sixteen characters"}
        assert client.post("/api/connections", json=webhook | {"secrets": secrets}).status_code == 201
        layout = {"time_limit_seconds": 60, "reason": "shown", "views": [{"name": "top", "category": "disc"}]}
        assert client.put("/api/part-layouts/shown", json=layout).status_code in (200, 201)
        view = {"top": ("top.png", parts.png(3), "image/png")}
        assert client.post("/api/parts", data={"layout": "shown", "part_id": "P1"}, files=view).status_code == 200
    stack.manage("shell", "--verbosity", "0", "--command", _QUALITY)
    found: dict[str, str] = json.loads(stack.manage("shell", "--verbosity", "0", "--command", _ADDRESSES).stdout)
    assert found.keys() == NAMES, "there is not something of each kind to show"
    with stack.client() as client:
        other = {"image": ("another-shape.png", parts.encode(Image.new("RGB", (96, 32), "white")), "image/png")}
        answer = client.post("/api/test_image", files=other, data={"anomaly_map": "none"}).json()
    assert answer["outcome"] == "not_comparable"
    more = {"line-opened": found["inspection"].split("/")[2], "line-not-comparable": answer["inspection_id"]}
    lines = {name: f"/?inspection={record}" for name, record in more.items()}
    return found | lines | {"inspection-not-comparable": f"/inspections/{answer['inspection_id']}/"}


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of, and requests that left the origin. Must be empty at the end of a test."""
    return []


@pytest.fixture
def visit(browser: Any, stack: Stack, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """`visit("ina", "/models/", ...)`: a page of that person, signed in; options are those of a browser context."""
    contexts = []

    def go(person: str = "ina", path: str = "/", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _stays_here(request.url, stack, complaints))
        session = stack.sessions[person].pop()
        context.add_cookies([{"name": "sessionid", "value": session, "url": stack.address, "httpOnly": True}])
        page.goto(stack.address + path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def _stays_here(address: str, stack: Stack, complaints: list[str]) -> None:
    if not address.startswith((stack.address, "data:", "blob:")):
        complaints.append(f"left the origin: {address}")


@pytest.fixture
def page(visit: Callable[..., Any]) -> Any:
    """The line, as the engineer sees it."""
    return visit("ina")


def sign_in(page: Any, stack: Stack, person: str = "ina") -> None:
    page.goto(stack.address + "/login/")
    page.fill("#id_username", person)
    page.fill("#id_password", PASSWORD)
    with page.expect_navigation():
        page.click("button.primary")


def drop(page: Any, name: str, data: bytes) -> None:
    """Drop a file anywhere on the page."""
    page.evaluate(_DROP, [name, list(data)])


def violations(page: Any) -> list[str]:
    """Serious and critical findings of axe-core on the page as it is now."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {item['help']} ({node['html'][:120]})"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]
