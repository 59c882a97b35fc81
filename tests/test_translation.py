"""Translation: templates of listed rooms have no sentence left in them, and the catalogue has every sentence."""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from typing import Any

import polib
import pytest
from django.template import engines
from django.test import Client
from django.utils.translation import override

from tests.environment import ROOT

# Templates whose every word is translated. A room joins by its files being named here: see CONTRIBUTING.md.
TRANSLATED = (
    "base.html",
    "accounts/login.html",
    "partials/credentials.html",
    "partials/messages.html",
    "partials/place.html",
    "partials/rail.html",
    "partials/sign_in.html",
    "site/problem.html",
)
CATALOGUE = ROOT / "locale" / "de" / "LC_MESSAGES"
_APPS = (
    *("accounts", "common", "inspection", "jobs", "modelzoo", "monitoring", "mvtec_site", "quality", "records"),
    *("reports", "retention", "rollout", "training", "tuning"),
)
_SPOKEN = ("aria-label", "title", "placeholder", "alt")
_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_BLOCK = re.compile(r"\{% blocktranslate.*?%\}.*?\{% endblocktranslate %\}", re.DOTALL)


def entries() -> dict[str, Any]:
    return {entry.msgid: entry for entry in polib.pofile(str(CATALOGUE / "django.po"))}


class _Words(HTMLParser):
    """Text and spoken attributes that have letters."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self._look(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in _SPOKEN:
                self._look(value or "")

    def _look(self, text: str) -> None:
        if re.search(r"[A-Za-z]{2}", text):
            self.found.append(text.strip())


def literal_words(source: str) -> list[str]:
    words = _Words()
    words.feed(_TAG.sub("", _BLOCK.sub("", source)))
    return words.found


@pytest.mark.parametrize("name", TRANSLATED)
def test_no_sentence_of_a_translated_template_is_left(name: str) -> None:
    assert literal_words((ROOT / "templates" / name).read_text()) == []


def test_the_test_finds_what_is_left() -> None:
    source = '<p title="A title">{% translate "Done" %} left {{ name }}</p>{# a note #}'
    assert literal_words(source) == ["A title", "left"]


def used_in_templates() -> set[str]:
    used = set()
    for path in (ROOT / "templates").rglob("*.html"):
        source = path.read_text()
        used |= set(re.findall(r'\{% translate "(.*?)" %\}', source))
        for block in re.findall(r"\{% blocktranslate[^%]*%\}(.*?)\{% endblocktranslate %\}", source, re.DOTALL):
            used.add(re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", block))
    return used


def used_in_code() -> set[str]:
    used = set()
    for path in (path for app in _APPS for path in (ROOT / app).rglob("*.py")):
        source = path.read_text()
        if "utils.translation import" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a literal, so that it is found"
                used.add(str(node.args[0].value))
    return used


def test_every_sentence_that_is_marked_has_a_translation_and_none_is_left_over() -> None:
    known = entries()
    used = used_in_templates() | used_in_code()
    assert used - set(known) == set(), "make messages, then translate what is new"
    assert set(known) - used == set(), "make messages takes out what nobody uses"
    assert [text for text, entry in known.items() if not entry.msgstr or entry.fuzzy or entry.obsolete] == []


def test_placeholders_are_the_same_in_both_languages() -> None:
    for text, entry in entries().items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", entry.msgstr)), text


def test_what_is_compiled_is_what_is_written() -> None:
    """Compiled catalogues are in the repository: the product needs no gettext."""
    compiled = {entry.msgid: entry.msgstr for entry in polib.mofile(str(CATALOGUE / "django.mo"))}
    assert compiled == {text: entry.msgstr for text, entry in entries().items()}, "make messages"


# ---------------------------------------------------------------- which language a page is in
@pytest.mark.django_db
def test_a_page_is_in_the_language_that_the_browser_asks_for_or_that_was_chosen(client: Client) -> None:
    english = client.get("/login/")
    assert '<html lang="en"' in english.content.decode()
    german = client.get("/login/", headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    assert '<html lang="de"' in german.content.decode()
    assert "Anmelden" in german.content.decode()
    assert german["Content-Language"] == "de"
    assert "Accept-Language" in german["Vary"]
    assert '<html lang="en"' in client.get("/login/", headers={"Accept-Language": "fr, xx;q=garbage"}).content.decode()
    client.cookies["language"] = "de"
    assert "Benutzername" in client.get("/login/").content.decode()
    client.cookies["language"] = "../../etc"
    assert '<html lang="en"' in client.get("/login/").content.decode()


@pytest.mark.django_db
def test_the_language_is_chosen_in_the_settings(signed_in: Client) -> None:
    chosen = signed_in.post("/settings/browser", {"language": "de", "theme": "", "station": ""})
    assert chosen.status_code == 302
    assert "Abmelden" in signed_in.get("/settings/").content.decode()
    assert signed_in.post("/settings/browser", {"language": "fr", "theme": "", "station": ""}).status_code == 422


@pytest.mark.django_db
def test_the_api_speaks_english(client: Client) -> None:
    answer = client.get("/api/nothing", headers={"Accept-Language": "de"})
    assert answer.json()["detail"] == "There is nothing at this address."
    assert "Content-Language" not in answer


def test_numbers_are_written_the_same_way_in_both_languages() -> None:
    """Templates write them into charts and attributes, too."""
    template = engines["django"].from_string("{{ n }} {{ n|floatformat:2 }} {{ day|date }}")
    from datetime import date

    context = {"n": 1234.5, "day": date(2026, 11, 29)}
    with override("en"):
        english = template.render(context)
    with override("de"):
        assert template.render(context) == english == "1234.5 1234.50 2026-11-29"
