"""Reads: what the pages of challengers are given."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from common.numbers import percent, percent_range
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from rollout.challengers import selectors
from rollout.challengers.selectors import Agreement, Counts
from rollout.models import Challenger

_LATEST = 50
MAX_SHOWN = 60  # disagreements; the rest follows page by page


def list_context() -> dict[str, Any]:
    return {"challengers": selectors.challengers()[:_LATEST]}


def startable_versions() -> list[ModelVersion]:
    """Candidates and approved versions of the categories in which something is in production."""
    stages = ModelVersion.Stage
    in_production = ModelVersion.objects.filter(stage=stages.PRODUCTION).values("category")
    rows = ModelVersion.objects.filter(stage__in=[stages.CANDIDATE, stages.APPROVED], category__in=in_production)
    rows = rows.select_related("category").defer(*ModelVersion.long_columns(in_list=True))
    return list(rows.order_by("category__name", "-number"))


def challenger_context(challenger: Challenger, *, show: str) -> dict[str, Any]:
    """Both versions beside each other, and the disagreements: `show` those that are `open` or `all` of them."""
    agreement = selectors.agreement_of(challenger)
    still_open = selectors.open_disagreements(challenger)
    looked_at = challenger.disagreements - still_open
    rows = selectors.results(challenger, disagreements=True, looked_at=False if show == "open" else None)
    return {
        "challenger": challenger,
        "agreement": agreement,
        "agreeing": percent(agreement.agreeing / agreement.total) if agreement.total else "",
        "table": _table(agreement),
        "columns": [
            counts_row(
                gettext(_("v%(number)s, in production")) % {"number": challenger.production.number},
                agreement.production,
            ),
            counts_row(
                gettext(_("v%(number)s, challenger")) % {"number": challenger.model_version.number},
                agreement.challenger,
            ),
        ],
        "open": still_open,
        "looked_at": looked_at,
        "show": show,
        "shown": list(rows.order_by(*selectors.DISAGREEMENT_ORDER)[:MAX_SHOWN]),
        "behind": selectors.images_behind(challenger) if challenger.is_open else 0,
    }


def _table(agreement: Agreement) -> list[dict[str, Any]]:
    """A row for each verdict of production, a column for each of the challenger; what is not comparable if any is."""
    outcomes = shown_outcomes(agreement)
    return [
        {
            "words": outcome_words(before),
            "cells": [(agreement.table[before][after], before != after) for after in outcomes],
        }
        for before in outcomes
    ]


def shown_outcomes(agreement: Agreement) -> list[str]:
    outcomes = list(Inspection.Outcome.values)
    if not agreement.production.not_comparable and not agreement.challenger.not_comparable:
        outcomes.remove(Inspection.Outcome.NOT_COMPARABLE)
    return outcomes


def outcome_words(outcome: str) -> str:
    return {"good": _("Good"), "defective": _("Defect"), "not_comparable": _("Not comparable")}[outcome]


def counts_row(words: str, counts: Counts) -> dict[str, Any]:
    """A row of `rollout/_counts.html`."""
    return {
        "words": words,
        "counts": counts,
        "share": "" if counts.defect_share is None else percent(counts.defect_share),
        "interval": percent_range(counts.interval) if counts.interval else "",
    }
