"""What a record says in the language of whoever reads a page. Documents and the API are English: see `documents`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from inspection.models import Inspection, InspectionRequest, Review
from modelzoo.models import Deployment, Threshold

_VERDICTS = {
    Inspection.Outcome.GOOD.value: _("GOOD"),
    Inspection.Outcome.DEFECTIVE.value: _("DEFECT"),
    Inspection.Outcome.NOT_COMPARABLE.value: _("NOT COMPARABLE"),
    Review.WITHDRAWN: _("WITHDRAWN"),
}
_STATES = {
    InspectionRequest.Status.QUEUED.value: _("Queued"),
    InspectionRequest.Status.RUNNING.value: _("Running"),
    InspectionRequest.Status.DONE.value: _("Done"),
    InspectionRequest.Status.FAILED.value: _("Failed"),
    InspectionRequest.Status.EXPIRED.value: _("Expired"),
    InspectionRequest.Status.CANCELLED.value: _("Cancelled"),
}
_METHODS = {
    Threshold.Method.PERCENTILE.value: _("Percentile"),
    Threshold.Method.CONFORMAL.value: _("Conformal"),
    Threshold.Method.BEST_F1.value: _("Best F1"),
    Threshold.Method.COST.value: _("Cost"),
    Threshold.Method.MANUAL.value: _("Manual"),
}
_DEPLOYMENTS = {
    Deployment.Kind.LOAD.value: _("Load"),
    Deployment.Kind.PROMOTION.value: _("Promotion"),
    Deployment.Kind.ROLLBACK.value: _("Rollback"),
    Deployment.Kind.CANARY.value: _("Canary"),
}
_STATISTICS = {
    "brightness": _("brightness"),
    "contrast": _("contrast"),
    "focus": _("focus"),
    "noise": _("noise"),
    "background": _("background"),
    "saturation": _("colour saturation"),
    "direction": _("edge direction"),
    "alignment_residual": _("alignment residual"),
    "likeness_distance": _("distance from the training images"),
}
_REVIEWED = _("%(name)s reviewed as %(verdict)s.")
_NONE_BELOW = _("above none of %(n)s held-out good parts")
_SOME_BELOW = _("above %(below)s of %(n)s held-out good parts")
_ALL_BELOW = _("above all %(n)s held-out good parts")


def verdict_word(verdict: str) -> str:
    """A verdict as the one word that all pages have for it."""
    return str(_VERDICTS[verdict])


def verdict_in_words(inspection: Inspection) -> str:
    """What stands of a record, as a title says it: a person's word with the name where it overrules the model's."""
    word = verdict_word(inspection.standing_verdict)
    return f"{word}, {inspection.standing.reviewer.get_username()}" if inspection.differs else word


def request_state(request: InspectionRequest) -> str:
    """What became of a request, in one word."""
    return str(_STATES[request.status])


def method_word(threshold: Threshold) -> str:
    """How a threshold was found, in one word."""
    return str(_METHODS[threshold.method])


def deployment_word(deployment: Deployment) -> str:
    """How a model came into production, in one word."""
    return str(_DEPLOYMENTS[deployment.kind])


def statistic_words(name: str, words: str) -> str:
    """An image statistic; `words`: what it is called in English."""
    return str(_STATISTICS.get(name, words))


def reviewed_as(what: str, verdict: str) -> str:
    """The sentence that says what was just done."""
    return str(_REVIEWED) % {"name": what, "verdict": verdict_word(verdict)}


def among_good_parts(inspection: Inspection) -> str:
    """`Inspection.among_good_parts` in the language of the page."""
    place = inspection.place_among_good_parts
    if place is None:
        return ""
    below, n = place
    sentence = _ALL_BELOW if below == n else _SOME_BELOW if below else _NONE_BELOW
    return str(sentence) % {"below": below, "n": n}
