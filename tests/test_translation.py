"""Translation: templates have no sentence left in them, and the catalogue has every sentence."""

from __future__ import annotations

import ast
import json
import re
from html.parser import HTMLParser
from typing import Any

import polib
import pytest
from django.template import engines
from django.test import Client
from django.utils.translation import override

from common.api.problem_list import PROBLEMS
from common.web.script_words import SENTENCES
from tests.environment import ROOT

# Documents speak English, and so do Django's own administration pages in our frame.
_ENGLISH = ("admin/", "report/card.html", "report/file.html")
TRANSLATED = sorted(
    name
    for path in (ROOT / "templates").rglob("*.html")
    if not (name := path.relative_to(ROOT / "templates").as_posix()).startswith(_ENGLISH)
)
CATALOGUE = ROOT / "locale" / "de" / "LC_MESSAGES"
_APPS = (
    *("accounts", "common", "edge", "inspection", "jobs", "modelzoo", "monitoring", "mvtec_site", "quality"),
    *("records", "reports", "retention", "rollout", "training", "tuning"),
)
_CONTEXT = "\x04"
_SPOKEN = ("aria-label", "title", "placeholder", "alt")
_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_BLOCK = re.compile(
    r"\{% blocktranslate(?P<options>(?: [^%]+)?) %\}(?P<one>.*?)"
    r"(?:\{% plural %\}(?P<many>.*?))?\{% endblocktranslate %\}",
    re.DOTALL,
)
_WORDS = re.compile(
    r"""\{% translate (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')(?: context "(?P<context>\w+)")? %\}"""
)
# Words that the page hands on to what it includes, and those that a filter puts where there are none.
_HANDED_ON = re.compile(
    r"""\b(?:title|text|caption|hint|placeholder|before|after|link_text|default|default_if_none)[=:](?:"([^"]*)"|'([^']*)')"""
)
# Names, units and formats are the same in both languages.
_SAME = re.compile(r"\b(?:API|CSV|JSON|MB|MiB|PDF|PNG|SHA-256|ms|px)\b")


def entries() -> dict[str, Any]:
    return {key_of(entry): entry for entry in polib.pofile(str(CATALOGUE / "django.po"))}


def key_of(entry: Any) -> str:
    """The English sentence; before it the context, where one word has two meanings."""
    return f"{entry.msgctxt}{_CONTEXT}{entry.msgid}" if entry.msgctxt else str(entry.msgid)


class _Words(HTMLParser):
    """Text and spoken attributes that have letters."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_code = False

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.look(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "code":
            self._in_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "code":
            self._in_code = True
        for name, value in attrs:
            if name in _SPOKEN:
                self.look(value or "")

    def look(self, text: str) -> None:
        if re.search(r"[A-Za-z]{2}", _SAME.sub("", text)):
            self.found.append(text.strip())


def literal_words(source: str) -> list[str]:
    words = _Words()
    rest = _BLOCK.sub("", source)
    words.feed(_TAG.sub("", rest))
    for tag in _TAG.findall(rest):
        for double, single in _HANDED_ON.findall(tag if not tag.startswith("{#") else ""):
            words.look(double or single)
    return words.found


@pytest.mark.parametrize("name", TRANSLATED)
def test_no_sentence_of_a_translated_template_is_left(name: str) -> None:
    source = (ROOT / "templates" / name).read_text()
    # Such a template is what stands inside of a tag.
    assert literal_words(f"<p {source}>" if name.endswith("_attributes.html") else source) == []


def test_the_test_finds_what_is_left() -> None:
    source = '<p title="A title">{% translate "Done" %} left {{ name }}</p>{# a title="no" #}<code>make</code> 3 ms'
    assert literal_words(source) == ["A title", "left"]
    handed = '{% include "a.html" with title="One" text=_("Two") link=here %}{{ before|default:"Three" }}'
    assert literal_words(handed) == ["One", "Three"]


def marked(source: str) -> dict[str, str | None]:
    """The sentences of a template as the catalogue has them, each with its plural where it has one."""
    found: dict[str, str | None] = {}
    words = list(_WORDS.finditer(source))
    for match in words:
        text = (match["double"] or match["single"]).replace("%", "%%")
        found[f"{match['context']}{_CONTEXT}{text}" if match["context"] else text] = None
    for tag in _TAG.findall(source):
        for double, single in re.findall(r"""(?<=[=:])_\((?:"([^"]*)"|'([^']*)')\)""", tag):
            found[double or single] = None
    for block in _BLOCK.finditer(source):
        assert (" count " in block["options"]) == (block["many"] is not None), block[0]
        is_trimmed = "trimmed" in block["options"].split()
        one, many = (_as_known(text, is_trimmed) if text else None for text in (block["one"], block["many"]))
        assert one, block[0]
        found[one] = many
    # Each of them is of a form that is known here.
    assert len(re.findall(r"\{% (?:block)?trans(?:late)?\b", source)) == len(words) + len(_BLOCK.findall(source))
    return found


def _as_known(text: str, is_trimmed: bool) -> str:
    if is_trimmed:
        text = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", text.replace("%", "%%"))


def test_the_test_finds_what_is_marked() -> None:
    source = """{% translate "95 % of it" %}{% translate 'A "word"' %}{% translate "Good" context "verdict" %}
        {% include "a.html" with title=_("A title") %}
        {% blocktranslate with a=b.c|date:"Y" %}Since {{ a }}{% endblocktranslate %}
        {% blocktranslate count n=b.n %}{{ n }} part{% plural %}{{ n }} parts{% endblocktranslate %}
        {% blocktranslate trimmed %}
          Two
          lines
        {% endblocktranslate %}"""
    assert marked(source) == {
        "95 %% of it": None,
        'A "word"': None,
        "verdict\x04Good": None,
        "A title": None,
        "Since %(a)s": None,
        "%(n)s part": "%(n)s parts",
        "Two lines": None,
    }


def used_in_templates() -> dict[str, str | None]:
    used: dict[str, str | None] = {}
    for path in (ROOT / "templates").rglob("*.html"):
        for one, many in marked(path.read_text()).items():
            used[one] = many or used.get(one)
    return used


def used_in_code() -> dict[str, str | None]:
    used: dict[str, str | None] = {}
    for path in (path for app in _APPS for path in (ROOT / app).rglob("*.py")):
        source = path.read_text()
        if "utils.translation import" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "pgettext_lazy":
                context, text = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
                used.setdefault(f"{context}{_CONTEXT}{text}", None)
            if node.func.id in ("_", "ngettext"):
                words = node.args[: 2 if node.func.id == "ngettext" else 1]
                texts = [word.value for word in words if isinstance(word, ast.Constant)]
                assert len(texts) == len(words), f"{path}:{node.lineno}: a literal, so that it is found"
                one, many = [str(text) for text in texts] if len(texts) == 2 else (str(texts[0]), None)
                used[one] = many or used.get(one)
    return used


def test_every_sentence_that_is_marked_has_a_translation_and_none_is_left_over() -> None:
    known = entries()
    templates, code = used_in_templates(), used_in_code()
    used = {one: templates.get(one) or code.get(one) for one in templates | code}
    assert set(used) - set(known) == set(), "make messages, then translate what is new"
    assert set(known) - set(used) == set(), "make messages takes out what nobody uses"
    assert {one: many for one, many in used.items() if (known[one].msgid_plural or None) != many} == {}
    assert [text for text, entry in known.items() if not all(said(entry)) or entry.fuzzy or entry.obsolete] == []


def test_every_problem_has_a_german_meaning_and_remedy() -> None:
    known = entries()
    texts = {code: (problem.meaning, problem.remedy) for code, problem in PROBLEMS.items()}
    missing = [
        (code, text) for code, both in texts.items() for text in both if text not in known or not known[text].msgstr
    ]
    assert missing == [], "mark them with _() in common/api/problem_list.py, then make messages"
    german = {code: [known[text].msgstr for text in both] for code, both in texts.items()}
    assert [code for code, both in german.items() if not all(text.endswith(".") for text in both)] == []


def test_templates_show_refusals_in_the_language_of_the_page() -> None:
    """The filter `refusal` does, where `detail` alone is English."""
    bare = [path.name for path in (ROOT / "templates").rglob("*.html") if re.search(r"\.detail\b", path.read_text())]
    assert bare == []


# ---------------------------------------------------------------- what scripts say
_SAID = re.compile(r"""\bsay\((?:\w+ \? )?("(?:[^"\\]|\\.)*")(?: : ("(?:[^"\\]|\\.)*"))?""")
_SPEAKS_BOTH = ("times.js", "words.js")


def _scripts() -> dict[str, str]:
    """Without comments."""
    return {
        path.name: re.sub(r"(^|\s)//.*", "", path.read_text())
        for path in (ROOT / "static" / "js").rglob("*.js")
        if path.name not in _SPEAKS_BOTH
    }


def test_every_sentence_that_a_script_says_is_in_the_list_and_none_is_left_over() -> None:
    said_by_scripts = {
        json.loads(text) for source in _scripts().values() for found in _SAID.findall(source) for text in found if text
    }
    assert len(said_by_scripts) > 60, "the walk over the scripts finds them"
    assert said_by_scripts == set(SENTENCES)
    assert len(SENTENCES) == len(set(SENTENCES))
    known = entries()
    for text in SENTENCES:
        assert known[text].msgstr.count("{}") == text.count("{}"), text


@pytest.mark.parametrize("name", sorted(_scripts()))
def test_no_sentence_of_a_script_is_left(name: str) -> None:
    rest = _SAID.sub("", _scripts()[name])
    sentences = re.findall(r"""["`](?:[A-Z][a-z]+|\$\{[^}"`]*\}[ :,])[^"`\n]* [a-z]{2,}[^"`\n]*["`]""", rest)
    shown = re.findall(r"""(?:textContent|words?|refused)(?:: | = )["`]([A-Za-z][^"`]*)""", rest)
    assert sentences + shown == []


def test_pages_in_german_carry_the_words_of_scripts(client: Client) -> None:
    german = client.get("/docs/problems", headers={"Accept-Language": "de"}).content.decode()
    words = json.loads(german.partition('<script id="words" type="application/json">')[2].partition("</script>")[0])
    assert words["Try again"] == "Erneut versuchen"
    assert words.keys() == set(SENTENCES)
    assert 'id="words"' not in client.get("/docs/problems").content.decode()


def said(entry: Any) -> list[str]:
    """What an entry is in German: one sentence, or one for each plural."""
    return [entry.msgstr_plural.get(n, "") for n in range(2)] if entry.msgid_plural else [entry.msgstr]


def test_placeholders_are_the_same_in_both_languages() -> None:
    for text, entry in entries().items():
        english = [entry.msgid, entry.msgid_plural] if entry.msgid_plural else [entry.msgid]
        for source, german in zip(english, said(entry), strict=True):
            assert sorted(re.findall(r"%\(\w+\)s", source)) == sorted(re.findall(r"%\(\w+\)s", german)), text


def test_what_is_compiled_is_what_is_written() -> None:
    """Compiled catalogues are in the repository: the product needs no gettext."""
    compiled = {key_of(entry): said(entry) for entry in polib.mofile(str(CATALOGUE / "django.mo"))}
    assert compiled == {text: said(entry) for text, entry in entries().items()}, "make messages"


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
