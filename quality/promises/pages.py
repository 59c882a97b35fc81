"""Reads: promises and what came as they are written on their page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop as _

from common.numbers import DASH, NOT_KNOWN, percent, percent_range
from quality.promises import selectors

_LATEST = 10
_WORDS = {
    selectors.KEPT: _("as promised"),
    selectors.HIGHER: _("more than promised"),
    selectors.LOWER: _("less than promised"),
    selectors.NOT_KNOWN: "",
}
_SHARES = (*selectors.RATES, "audited_escapes")


def context() -> dict[str, Any]:
    rows = []
    for threshold in selectors.promises()[:_LATEST]:
        outcome = selectors.outcome_of(threshold)
        rows.append(
            {
                "threshold": threshold,
                "outcome": outcome,
                "due_at": selectors.due_at(threshold),
                "result": getattr(threshold, "promise_result", None),
                "figures": [_figure(figure) for figure in outcome.figures],
            }
        )
    return {"rows": rows, "days": settings.PROMISE_DAYS}


def _figure(figure: dict[str, Any]) -> dict[str, Any]:
    is_share, interval = figure["name"] in _SHARES, figure["interval"]
    text = percent if is_share else _number
    between = percent_range(interval) if is_share else _between(interval)
    return {
        "words": selectors.FIGURES.get(figure["name"], _("Escapes among passed parts (random audit)")),
        "promised": _("no promise") if figure["name"] == "audited_escapes" else text(figure["promised"]),
        "came": text(figure["came"]),
        "interval": between,
        "verdict": _WORDS[figure["verdict"]],
        "is_broken": figure["verdict"] in (selectors.HIGHER, selectors.LOWER),
    }


def _number(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:,.1f}"


def _between(interval: list[float] | None) -> str:
    return f"{interval[0]:,.1f}{DASH}{interval[1]:,.1f}" if interval else ""
