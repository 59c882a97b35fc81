"""Reads: the model card as a page of the running system and as one file that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.translation import override


def card_file(card: dict[str, Any]) -> str:
    """The card as one page of HTML: no script, nothing loaded from elsewhere."""
    style = finders.find("css/app.css")
    if not isinstance(style, str):
        raise FileNotFoundError("static file css/app.css")
    context = {"card": card, "is_file": True, "style": Path(style).read_text(encoding="utf-8")}
    with override("en"):  # a document is the same whoever asks for it
        return render_to_string("report/card.html", context)
