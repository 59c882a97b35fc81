"""Pages of random audits: plans and shifts, one shift, and the blind review."""

from __future__ import annotations

import uuid
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from inspection.history.pages import defect_types
from inspection.reviews.services import MAX_COMMENT_LENGTH, MAX_DEFECT_TYPE_LENGTH
from modelzoo.selectors import find_category
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from quality.models import BlindDecision
from quality.random_audit import pages, selectors, services
from quality.random_audit.models import MAX_CONTROLS

_STANDARD = {"percent": Decimal(2), "at_least": 5, "controls": 3, "shift_starts": "06:00, 14:00, 22:00"}
_SAVED = {
    "good": _("Saved as good."),
    "defective": _("Saved as a defect."),
    "doubtful": _("Saved as doubtful."),
}


class PlanForm(forms.Form):
    """A new revision of a category's plan."""

    percent = forms.DecimalField(label=_("Percent of passed parts"), min_value=0, max_value=100, decimal_places=2)
    at_least = forms.IntegerField(label=_("At least, per shift"), min_value=0, max_value=MAX_CONTROLS)
    controls = forms.IntegerField(label=_("Rejected parts mixed in"), min_value=0, max_value=MAX_CONTROLS)
    shift_starts = forms.CharField(label=_("Shifts start at"), max_length=200)
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))


class DecisionForm(forms.Form):
    verdict = forms.ChoiceField(choices=BlindDecision.Verdict.choices)
    defect_type = forms.CharField(required=False, max_length=MAX_DEFECT_TYPE_LENGTH)
    comment = forms.CharField(required=False, max_length=MAX_COMMENT_LENGTH)


def _overview(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    invalid_forms: dict[int, PlanForm] = more.pop("invalid_forms", {})
    rows = pages.plan_rows()
    plan_forms = [(row, invalid_forms.get(row.category.pk) or _form(row)) for row in rows]
    context = {
        "plans": plan_forms,
        "shifts": pages.shift_rows(),
        "open_parts": selectors.open_parts(),
        "own_parts": selectors.review_queue(request.user).count(),
        "open_category": next(iter(invalid_forms), None),
        **more,
    }
    return render(request, "quality/random_audit.html", context, status=status)


def _form(row: pages.PlanRow) -> PlanForm:
    initial: dict[str, Any] = dict(_STANDARD)
    if row.plan:
        initial = {name: getattr(row.plan, name) for name in ("percent", "at_least", "controls")}
        initial["shift_starts"] = ", ".join(row.plan.shift_starts)
    return PlanForm(initial=initial, auto_id=f"id_{row.category.pk}_%s")


@require_GET
@needs(Right.READ)
def overview(request: HttpRequest) -> HttpResponse:
    """The plan of each category and what its audits tell, and the last shifts."""
    return _overview(request)


@require_POST
@needs(Right.TUNE)
def set_plan(request: HttpRequest) -> HttpResponse:
    """A new revision of a category's plan, in force from its next shift on."""
    try:
        category = find_category(request.POST.get("category", ""))
    except UserError as error:
        return _overview(request, failed=error, status=error.status)
    form = PlanForm(request.POST, auto_id=f"id_{category.pk}_%s")
    if not form.is_valid():
        return _overview(request, invalid_forms={category.pk: form}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    values = form.cleaned_data
    try:
        plan = services.set_plan(
            category=category, actor=request.user, **values | {"shift_starts": values["shift_starts"].split(",")}
        )
    except UserError as error:
        return _overview(request, invalid_forms={category.pk: form}, failed=error, status=error.status)
    if plan.revision == 1:
        sentence = _("Revision %(revision)s of the plan of %(category)s is saved. Its first shift has begun.")
    else:
        sentence = _("Revision %(revision)s of the plan of %(category)s is saved. It applies from the next shift on.")
    messages.success(request, sentence % {"revision": plan.revision, "category": category.name})
    return redirect("quality")


@require_GET
@needs(Right.READ)
def shift(request: HttpRequest, shift_id: uuid.UUID) -> HttpResponse:
    """One shift: what was drawn, what people said, what it tells of all that passed. `?verify` draws again."""
    try:
        shown = selectors.find_shift(shift_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    return render(request, "quality/shift.html", pages.shift_context(shown, verify="verify" in request.GET))


def _review(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    queue = selectors.review_queue(request.user)
    context = {
        "part": queue.first(),
        "left": queue.count(),
        "open_parts": selectors.open_parts(),
        "defect_types": defect_types(),
        **more,
    }
    return render(request, "quality/review.html", context, status=status)


@require_GET
@needs(Right.REVIEW)
def review(request: HttpRequest) -> HttpResponse:
    """The next part for this person: its image, and nothing that tells the model's verdict."""
    return _review(request)


@require_POST
@needs(Right.REVIEW)
def decide(request: HttpRequest, part_id: int) -> HttpResponse:
    """Decide on a part, and go on with the next one."""
    try:
        part = selectors.find_part(part_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    form = DecisionForm(request.POST)
    try:
        if not form.is_valid():
            raise UserError("Choose good, defect or doubtful. Nothing was saved.", code="invalid_review")
        signature = form_signature(request, act=Act.REVIEW, about=part.inspection)
        decision = services.decide(part=part, actor=request.user, signature=signature, **form.cleaned_data)
    except UserError as error:
        return _review(request, failed=error, status=error.status)
    messages.success(request, _SAVED[decision.verdict])
    return redirect("blind-review")
