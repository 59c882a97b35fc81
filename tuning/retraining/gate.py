"""The promotion gate of a comparison: on the same images a version is not worse than production by more than that."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from modelzoo.lifecycle.selectors import GateResult, Gates
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from tuning.models import Comparison


def check_same_images(version: ModelVersion, gates: Gates) -> GateResult | None:
    """What a version shows at the gate; None where it is not set.

    The newest finished comparison with what is in production counts, at both thresholds in force. Where no other
    version is in production there is nothing to be compared with: it passes.
    """
    limit = gates.max_error_increase
    if limit is None:
        return None
    name, title = "max_error_increase", _("Wrong verdicts, beside production")
    required = f"at most {_percent(limit)} of the images more"
    in_production = ModelVersion.objects.filter(category=version.category_id, stage=ModelVersion.Stage.PRODUCTION)
    production = in_production.defer(*ModelVersion.long_columns()).exclude(pk=version.pk).first()
    if production is None:
        return GateResult(name, title, required, "no other version is in production", True)
    comparison = (
        Comparison.objects.filter(
            candidate=version,
            production=production,
            status=Comparison.Status.FINISHED,
            candidate_threshold=threshold_in_force(version.pk),
            production_threshold=threshold_in_force(production.pk),
        )
        .order_by("-created_at")
        .first()
    )
    if comparison is None:
        measured = f"not compared with v{production.number} at the active thresholds"
        return GateResult(name, title, required, measured, False)
    difference = comparison.error_rate_difference
    assert difference is not None, "finished_comparison_has_its_figures"
    more = f"{_percent(abs(difference))} {'more' if difference > 0 else 'fewer'}"
    measured = f"{more} than v{production.number} on {comparison.total:,} images"
    return GateResult(name, title, required, measured, difference <= limit)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
