"""Reads: a comparison as its page shows it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from common.numbers import metric, percent, percent_range, score_text
from tuning.models import ComparedImage, Comparison
from tuning.retraining import selectors

_PICTURES = 60


def comparison_context(comparison: Comparison) -> dict[str, Any]:
    differing = selectors.differing(comparison)
    return {
        "comparison": comparison,
        "left_out": [f"{count} {reason}" for reason, count in comparison.left_out.items()],
        "rows": _rows(comparison.figures) if comparison.figures else [],
        "verdict": _sentence(comparison),
        "differing": [_image(comparison, image) for image in differing.select_related("inspection")[:_PICTURES]],
        "differing_count": differing.count(),
    }


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    both = (figures["production"], figures["candidate"])
    return [
        {"words": _("Threshold"), "cells": [score_text(one["threshold"]) for one in both]},
        {"words": _("AUROC"), "cells": [metric(one["auroc"]) for one in both]},
        {"words": _("Recall"), "cells": [_share(one["recall"], one["recall_interval"]) for one in both]},
        {
            "words": _("False-reject rate"),
            "cells": [_share(one["false_reject_rate"], one["false_reject_interval"]) for one in both],
        },
        {"words": _("Wrong verdicts"), "cells": [f"{one['wrong']:,} ({percent(one['error_rate'])})" for one in both]},
        {"words": _("Not comparable"), "cells": [f"{one['not_comparable']:,}" for one in both]},
    ]


def _share(value: float | None, interval: list[float] | None) -> str:
    return percent(value) if value is None or interval is None else f"{percent(value)} ({percent_range(interval)})"


def _sentence(comparison: Comparison) -> str:
    """What the verdicts on the same images say, and how sure that is."""
    figures = comparison.figures
    if not figures:
        return ""
    production, candidate = figures["only_production_right"], figures["only_candidate_right"]
    if not production + candidate:
        return _("Both are right and wrong on the same images.")
    if figures["mcnemar_p_value"] >= 0.05:
        sentence = _(
            "On %(candidate)s images only v%(new)s is right, on %(production)s only v%(old)s: that could be chance "
            "(McNemar's exact test, p = %(p)s)."
        )
    else:
        sentence = _(
            "On %(candidate)s images only v%(new)s is right, on %(production)s only v%(old)s: that is hardly chance "
            "(McNemar's exact test, p = %(p)s)."
        )
    return sentence % {
        "candidate": candidate,
        "new": comparison.candidate.number,
        "production": production,
        "old": comparison.production.number,
        "p": f"{figures['mcnemar_p_value']:.3g}",
    }


def _image(comparison: Comparison, image: ComparedImage) -> dict[str, Any]:
    return {
        "image": image,
        "production": _verdict(image.production_score, comparison.production_threshold.value),
        "candidate": _verdict(image.candidate_score, comparison.candidate_threshold.value),
    }


def _verdict(score: float | None, threshold: float) -> str:
    if score is None:
        return _("not comparable")
    return f"{_('defective') if score > threshold else _('good')} ({score_text(score, threshold)})"
