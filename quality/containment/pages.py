"""Reads: sentences and rows that the pages and the report of a containment show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from common.numbers import DASH, score_text
from modelzoo.models import ModelVersion
from quality.containment import selectors
from quality.models import Containment

_MAX_SHOWN = 200
_LATEST = 30


def latest() -> QuerySet[Containment]:
    return selectors.containments()[:_LATEST]


def versions_for(category_id: int) -> QuerySet[ModelVersion]:
    """With which the parts can be scored again."""
    versions = ModelVersion.objects.filter(category=category_id).select_related("category")
    return versions.defer(*ModelVersion.long_columns(in_list=True)).order_by("-number")


def scope_sentence(containment: Containment) -> str:
    """Which parts were searched."""
    escape = containment.escape
    since, until = (timezone.localtime(at).strftime("%Y-%m-%d %H:%M") for at in (containment.since, containment.until))
    return _(
        "%(passed)s parts that passed %(version)s at threshold %(threshold)s (revision %(revision)s) from %(since)s, "
        "%(since_what)s, to %(until)s"
    ) % {
        "passed": f"{containment.passed:,}",
        "version": escape.model_version,
        "threshold": score_text(escape.threshold_value),
        "revision": escape.threshold.revision,
        "since": since,
        "since_what": gettext(containment.get_since_what_display()),
        "until": until,
    }


def bound_sentences(containment: Containment) -> list[str]:
    """At which stations the search begins later, and why."""
    sentences = []
    for bound in containment.bounds or ():
        since = timezone.localtime(datetime.fromisoformat(bound["since"])).strftime("%Y-%m-%d %H:%M")
        if bound["station"]:
            where = _("at station %(station)s") % {"station": bound["station"]}
        else:
            where = _("where no station is named")
        names = ", ".join(bound["reference_parts"])
        sentence = _(
            "%(where)s only from %(since)s: every reference part (%(names)s) had passed there by then, so the station "
            "judged as it had to"
        )
        sentences.append(sentence % {"where": where, "since": since, "names": names})
    return sentences


def expected_sentence(containment: Containment) -> str:
    """How many more escapes there may be among them."""
    expected: dict[str, Any] = containment.expected
    if not expected.get("basis"):
        return _(
            "not known: no part that passed at this threshold was drawn at random and reviewed, and other reviews do "
            "not tell how many escaped unseen"
        )
    return _(
        "about %(value)s besides the %(known)s known, %(bounds)s (exact 95 %% bounds): %(found)s of %(drawn)s parts "
        "drawn at random at this threshold were defective, %(unclear)s are open or doubtful"
    ) % {
        "value": f"{expected['value']:.1f}",
        "known": expected["known"],
        "bounds": f"{expected['low']:,}{DASH}{expected['high']:,}",
        "found": expected["found"],
        "drawn": expected["drawn"],
        "unclear": expected["unclear"],
    }


def containment_context(containment: Containment) -> dict[str, Any]:
    parts = selectors.listed_parts(containment) if containment.is_finished else []
    return {
        "containment": containment,
        "scope": scope_sentence(containment),
        "bounds": bound_sentences(containment),
        "expected": expected_sentence(containment) if containment.is_finished else "",
        "parts": parts[:_MAX_SHOWN],
        "more": max(0, len(parts) - _MAX_SHOWN),
    }
