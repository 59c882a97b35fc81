"""Scores, shares and times in the words and digits that all pages have for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.html import json_script
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from common.numbers import DASH, metric, percent, score_text, seconds_between
from common.web import script_words as words_of_scripts
from common.web.refusals import Refusal, refusal_html, refusal_text
from common.web.toasts import undo_of

register = template.Library()
MINUS = "\N{MINUS SIGN}"

register.filter(undo_of)
register.filter("refusal", refusal_html)
register.filter("refusal_text", refusal_text)
register.filter("share", percent)
register.filter("metric", metric)


@register.filter
def score(value: float | None, beside: float = 0.0) -> str:
    """A score or a threshold, in the one precision that it has on pages: that of the threshold `beside` it."""
    return "" if value is None else score_text(value, beside)


@register.filter
def signed(value: float, beside: float = 0.0) -> str:
    """A difference of scores, with its sign; as `score`."""
    sign = "+" if value > 0 else MINUS if value < 0 else ""
    return sign + score_text(abs(value), beside)


@register.filter
def multiple(value: float | None) -> str:
    """A change as a multiple of a spread, with its sign and two decimals; a dash where there is none."""
    if value is None:
        return DASH
    text = f"{abs(value):.2f}"
    return text if text == "0.00" else f"{'+' if value > 0 else MINUS}{text}"


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, with the largest unit alone; the exact time stands in the title."""
    words = str(naturaltime(moment))
    largest, comma, _rest = words.partition(",")
    return f"{largest} ago" if comma and words.endswith(" ago") else largest


@register.filter
def translated(words: Any) -> Any:
    """Words that are English where they were made (a choice, a figure), in the language of the page."""
    return gettext(words) if isinstance(words, str) and words else words


@register.filter
def failure(work: Any) -> str:
    """Why a piece of work failed: as `refusal`, of what is kept with it as `error_code` and `error`."""
    return refusal_html(Refusal(work.error_code, work.error))


@register.filter
def failure_text(work: Any) -> str:
    """The same without markup."""
    return refusal_text(Refusal(work.error_code, work.error))


@register.filter
def duration(begin: datetime, end: datetime) -> str:
    """A span of time: seconds below two minutes, else its two largest units."""
    seconds = seconds_between(begin, end)
    if seconds is None:
        return _("an unknown time (the clock was set back)")
    return _("%(count)s seconds") % {"count": f"{seconds:.0f}"} if seconds < 120 else timesince(begin, end)


@register.simple_tag
def script_words() -> str:
    """For words.js: what scripts say, translated. Nothing in English."""
    words = words_of_scripts.translations()
    return json_script(words, "words") if words else ""
