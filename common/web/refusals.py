"""What a page says of a refusal: in English its own sentence, else what its code means and what to do, translated.

`detail` is English, made of names and numbers, and the same for programs and logs. A page in another language has the
meaning and the remedy from the list of problems, and after them `detail`, which names the file, the field or the limit.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext as _

from common.api.problem_list import PROBLEMS


class Refused(Protocol):
    """A `UserError`, or whatever else was refused with a code and a sentence."""

    @property
    def code(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Refusal(NamedTuple):
    """One that is kept with a piece of work, or was never raised."""

    code: str
    detail: str


def refusal_html(error: Refused | None, detail: str | None = None) -> SafeString | str:
    """For pages and messages; `detail` of it is marked as English. `detail`: instead of the error's own.

    Empty where nothing was refused.
    """
    said = _own_words(error, detail)
    general = _in_general(error)
    return format_html('{} {} <span lang="en">{}</span>', general, _("In detail:"), said) if general else said


def refusal_text(error: Refused | None, detail: str | None = None) -> str:
    """The same without markup, for attributes, and for what scripts show."""
    said = _own_words(error, detail)
    general = _in_general(error)
    return f"{general} {_('In detail:')} {said}" if general else said


def _own_words(error: Refused | None, detail: str | None) -> str:
    return detail if detail is not None else error.detail if error else ""


def _in_general(error: Refused | None) -> str:
    """Empty where `detail` alone is said: it is in the language of the page, or its code is not known."""
    language = get_language() or "en"
    if not error or language.startswith("en") or getattr(error, "is_translated", False):
        return ""
    problem = PROBLEMS.get(error.code)
    return f"{gettext(problem.meaning)} {gettext(problem.remedy)}" if problem else ""
