"""The promotion gate of live images: a version scored enough of them beside production, and people looked."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from modelzoo.lifecycle.selectors import GateResult, Gates
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from rollout.challengers.selectors import evidence_of


def check_live_images(version: ModelVersion, gates: Gates) -> GateResult | None:
    """What a version shows at the gate; None where it is not set.

    Where nothing is in production there is nothing to be beside: the first version of a category passes.
    """
    least = gates.min_challenger_images
    if least is None:
        return None
    production = ModelVersion.objects.select_related("category").filter(
        category=version.category_id, stage=ModelVersion.Stage.PRODUCTION
    )
    beside = production.defer(*ModelVersion.long_columns()).first()
    name, title = "min_challenger_images", _("Live challenger")
    if beside is None:
        return GateResult(name, title, f"at least {least:,} live images", "nothing is in production to be beside", True)
    required = f"at least {least:,} live images beside v{beside.number} and every disagreement looked at"
    evidence = evidence_of(version.pk, beside.pk, threshold_in_force(version.pk).pk)
    if not evidence.images:
        return GateResult(
            name, title, required, f"no live image beside v{beside.number} at the active threshold", False
        )
    measured = f"{evidence.images:,} live image{'s' * (evidence.images != 1)} at the active threshold"
    if missing := max(0, least - evidence.images):
        measured += f" ({missing:,} missing)"
    measured += f", {evidence.open:,} of {evidence.disagreements:,} disagreements not looked at"
    return GateResult(name, title, required, measured, not missing and not evidence.open)
