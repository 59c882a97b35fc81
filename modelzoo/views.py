"""Pages of models: all versions, one of them, and putting one aside.

What needs a worker (promotion, rollback) is in `modelzoo.promotion_views`; two beside each other in `tuning.views`.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common.api.pagination import read_page
from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from jobs import broker
from modelzoo import pages, services
from modelzoo.card.documents import card_document, find_for_card
from modelzoo.detectors.preprocessing.input_rules import ASPECT, CHECKS, COLOUR, LIKENESS, SIZE, TOLERANCES, InputRules
from modelzoo.loading.deployments import await_deployment
from modelzoo.loading.warm_models import memory_of
from modelzoo.models import Category, Deployment, InputCheckSettings, ModelVersion
from modelzoo.selectors import find_category, input_rules
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act

MAX_REASON_LENGTH = 500


@require_GET
@needs(Right.READ)
def models(request: HttpRequest) -> HttpResponse:
    """The versions of each category, the newest first; `?category=`, `?stage=`."""
    return _models_page(request)


def _models_page(request: HttpRequest, *, failed: UserError | None = None) -> HttpResponse:
    filters = {"category": request.GET.get("category", ""), "stage": request.GET.get("stage", "")}
    categories = pages.categories()
    if filters["category"] and filters["category"] not in {category.name for category in categories}:
        raise Http404("There is no such category.")
    if filters["stage"] and filters["stage"] not in ModelVersion.Stage.values:
        raise Http404("There is no such stage.")
    try:
        page = read_page(pages.versions(**filters), request, ordering=("category__name", "-id"))
    except UserError as error:
        raise Http404(error.detail) from error
    context: dict[str, Any] = {
        "page": page,
        "filters": filters,
        "categories": categories,
        "stages": ModelVersion.Stage.choices,
        "in_force": [category for category in categories if category.in_force],
        "default": next((category for category in categories if category.is_default), None),
        "workers": [(worker, memory_of(worker)) for worker in broker.inference_workers()],
    }
    if failed:
        context |= {"failed": failed, "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH]}
    return render(request, "models/list.html", context, status=failed.status if failed else HTTPStatus.OK)


@require_POST
@needs(Right.DEPLOY)
def set_default(request: HttpRequest) -> HttpResponse:
    """Say which category is meant by images that name none; an empty one: none is."""
    name = request.POST.get("category", "")
    try:
        category = find_category(name) if name else None
        services.set_default_category(category=category, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return _models_page(request, failed=error)
    message = (
        _("%(category)s is the default category.") % {"category": name}
        if name
        else _("There is no default category: images must name their category.")
    )
    messages.success(request, message)
    return redirect("models")


# What stands on the page about each check: its name, a sentence, and its tolerance with a label.
_CHECKS: dict[str, tuple[Any, Any, str, Any]] = {
    SIZE: (
        _("Size"),
        _("The number of pixels, regardless of the shape."),
        "size_factor",
        _("Sides at most this many times longer or shorter"),
    ),
    ASPECT: (
        _("Shape"),
        _("Width to height. An image of another shape would be distorted."),
        "aspect_percent",
        _("Difference of width to height of at most (%)"),
    ),
    COLOUR: (_("Colour"), _("A grey image where the training images are coloured, or the opposite."), "", ""),
    LIKENESS: (
        _("Kind of image"),
        _(
            "The whole image, compared with the nearest training images. The limit comes from good images and "
            "accepts defects, also large ones."
        ),
        "likeness_factor",
        _("Distance of at most this many times the limit"),
    ),
}


@require_http_methods(["GET", "HEAD", "POST"])
def input_checks(request: HttpRequest, name: str) -> HttpResponseBase:
    """What is checked of a picture before it is judged as one of a category; POST sets it."""
    return _set_input_checks(request, name) if request.method == "POST" else _input_checks(request, name)


@needs(Right.READ)
def _input_checks(
    request: HttpRequest, name: str, *, rules: InputRules | None = None, failed: UserError | None = None
) -> HttpResponse:
    """`rules`: those that were sent, where they could be read; `failed`: why they were refused."""
    category = category_or_404(name)
    rules = rules or input_rules(category.pk)
    context = {
        "category": category,
        "checks": [_check_of(check, rules) for check in CHECKS],
        "actions": InputCheckSettings.Action.choices,
        "last": InputCheckSettings.objects.select_related("author").filter(category=category).first(),
        "failed": failed,
        "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH],
    }
    return render(request, "models/input_checks.html", context, status=failed.status if failed else HTTPStatus.OK)


@needs(Right.TUNE)
def _set_input_checks(request: HttpRequest, name: str) -> HttpResponseBase:
    category, rules = category_or_404(name), None
    try:
        rules = _rules_of(request)
        services.set_input_checks(category=category, rules=rules, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return _input_checks(request, name, rules=rules, failed=error)
    messages.success(
        request,
        _("The input checks of %(category)s were saved. They apply from the next image on.")
        % {"category": category.name},
    )
    return redirect("input-checks", name=category.name)


def category_or_404(name: str) -> Category:
    try:
        return find_category(name)
    except UserError as error:
        raise Http404(error.detail) from error


def _check_of(check: str, rules: InputRules) -> dict[str, Any]:
    label, sentence, tolerance, tolerance_label = _CHECKS[check]
    low, high = TOLERANCES.get(tolerance, (None, None))
    return {
        "name": check,
        "label": label,
        "help": sentence,
        "action": getattr(rules, check),
        "tolerance": tolerance,
        "tolerance_label": tolerance_label,
        "value": f"{getattr(rules, tolerance):g}" if tolerance else "",
        "min": low,
        "max": high,
    }


def _rules_of(request: HttpRequest) -> InputRules:
    """Raises `UserError` for a tolerance that is no number; actions are checked where they are set."""
    values: dict[str, Any] = {check: request.POST.get(check, "") for check in CHECKS}
    for name in TOLERANCES:
        text = request.POST.get(name, "")
        try:
            values[name] = float(text)
        except ValueError as error:
            raise UserError(f"{text[:50]!r} is not a number. Nothing was changed.", code="invalid") from error
    return InputRules(**values)


@require_GET
@needs(Right.READ)
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    return model_page(request, version_id)


def model_page(request: HttpRequest, version_id: int, *, failed: UserError | None = None) -> HttpResponse:
    """One version; `failed`: what became of as requested on it."""
    version = version_or_404(version_id)
    context: dict[str, Any] = pages.page_of(version)
    if failed:
        context |= {"failed": failed, "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH]}
    return render(request, "models/one.html", context, status=failed.status if failed else HTTPStatus.OK)


@require_GET
@needs(Right.READ)
def card(request: HttpRequest, version_id: int) -> HttpResponse:
    """What the version is for, what it was made of, how well it does, where it ends."""
    try:
        version = find_for_card(version_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    return render(request, "models/card.html", {"version": version, "card": card_document(version)})


def version_or_404(version_id: int, *, find: Callable[[int], Any] = pages.find_version) -> Any:
    """The version that an address names; `find`: read with what the page wants of it."""
    version = find(version_id)
    if version is None:
        raise Http404(f"There is no model version {version_id}.")
    return version


def reason_of(request: HttpRequest) -> str:
    """The reason that a form gives. Raises `UserError` for one that no record can hold."""
    reason = request.POST.get("reason", "")
    if len(reason) > MAX_REASON_LENGTH or "\0" in reason:
        raise UserError(
            f"A reason has at most {MAX_REASON_LENGTH} characters of text. Nothing was changed. Shorten it.",
            code="invalid",
        )
    return reason


@require_POST
@needs(Right.DEPLOY)
def archive(request: HttpRequest, version_id: int) -> HttpResponse:
    """Put a candidate aside."""
    version = version_or_404(version_id)
    try:
        services.archive_version(version=version, reason=reason_of(request), actor=request.user)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    messages.success(request, _("%(version)s was archived. It can still be promoted.") % {"version": version})
    return redirect(reverse("model", args=[version_id]))


@require_POST
@needs(Right.DEPLOY)
def promote(request: HttpRequest, version_id: int) -> HttpResponse:
    """Load a version and put it in production; answered once a worker holds it, or could not."""
    version = version_or_404(version_id)
    try:
        reason, signature = reason_of(request), form_signature(request, act=Act.PROMOTION, about=version)
        deployment = services.request_promotion(version=version, reason=reason, actor=request.user, signature=signature)
        deployment = await_deployment(deployment=deployment)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    return _in_production(request, deployment)


@require_POST
@needs(Right.DEPLOY)
def roll_back(request: HttpRequest, version_id: int) -> HttpResponse:
    """Load the version that served before this one."""
    version = version_or_404(version_id)
    try:
        reason, signature = reason_of(request), form_signature(request, act=Act.ROLLBACK, about=version.category)
        deployment = services.request_rollback(
            category=version.category, reason=reason, actor=request.user, signature=signature
        )
        deployment = await_deployment(deployment=deployment)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    return _in_production(request, deployment)


def _in_production(request: HttpRequest, deployment: Deployment) -> HttpResponse:
    runs_in = f"{deployment.runtime_chosen or deployment.runtime} {deployment.precision_chosen or deployment.precision}"
    messages.success(
        request,
        _("%(model_version)s is in production, on %(device)s (%(runs_in)s): it judges from the next image on.")
        % {"model_version": deployment.model_version, "device": deployment.device, "runs_in": runs_in},
    )
    return redirect(reverse("model", args=[deployment.model_version_id]))
