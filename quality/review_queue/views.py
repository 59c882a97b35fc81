"""The page of the review queue: one part after the other, and the budget of a shift."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from inspection.history.pages import defect_types
from inspection.reviews.services import MAX_COMMENT_LENGTH, MAX_DEFECT_TYPE_LENGTH
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import find_category
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from quality.models import QueueDecision
from quality.review_queue import selectors, services
from quality.review_queue.models import MAX_PER_SHIFT

_CATEGORIES = 200
_SAVED = {
    "good": _("Saved as good."),
    "defective": _("Saved as a defect."),
    "unclear": _("Saved as unclear."),
    "skipped": _("Skipped."),
}
# By what the model had said.
_OVERRULED = {
    "defective": _("Saved as good: the model had judged it defective."),
    "good": _("Saved as a defect: the model had judged it good."),
}


class BudgetForm(forms.Form):
    """A new revision of a category's budget."""

    per_shift = forms.IntegerField(label=_("Parts per shift"), min_value=1, max_value=MAX_PER_SHIFT)
    shift_starts = forms.CharField(label=_("Shifts start at"), max_length=200)
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))


class DecisionForm(forms.Form):
    verdict = forms.ChoiceField(choices=QueueDecision.Decision.choices)
    defect_type = forms.CharField(required=False, max_length=MAX_DEFECT_TYPE_LENGTH)
    comment = forms.CharField(required=False, max_length=MAX_COMMENT_LENGTH)


@require_GET
@needs(Right.REVIEW)
def queue(request: HttpRequest) -> HttpResponse:
    """The part before this person, if they took one; `?category=`."""
    categories = _categories()
    name = request.GET.get("category", "")
    if not name:
        chosen = next((one for one in categories if one.is_default), categories[0] if categories else None)
    else:
        try:
            chosen = find_category(name)
        except UserError as error:
            raise Http404(error.detail) from error
    return _page(request, chosen, categories=categories)


@require_POST
@needs(Right.REVIEW)
def take(request: HttpRequest) -> HttpResponse:
    """Put the next part before this person."""
    category = _category_of(request)
    try:
        if services.take_next(category=category, actor=request.user) is None:
            messages.info(request, _("Nothing to review for you now."))
    except UserError as error:
        return _page(request, category, failed=error)
    return _to(category)


@require_POST
@needs(Right.REVIEW)
def decide(request: HttpRequest, card_id: int) -> HttpResponse:
    """Decide on a part; the next one is there at once, until the budget of the shift is reached."""
    category = _category_of(request)
    form = DecisionForm(request.POST)
    try:
        if not form.is_valid():
            raise UserError("Choose good, defect, unclear or skip. Nothing was saved.", code="invalid_review")
        fields = dict(form.cleaned_data)
        fields["signature"] = form_signature(request, act=Act.REVIEW, about=category)
        made = services.decide(reservation_id=card_id, decision=fields.pop("verdict"), actor=request.user, **fields)
        progress = selectors.progress_of(category)
        is_reached = progress.done == progress.budget and made.decision != QueueDecision.Decision.SKIPPED
        if not is_reached:
            services.take_next(category=category, actor=request.user)
    except UserError as error:
        return _page(request, category, failed=error)
    if made.review and made.review.agrees is False:
        messages.success(request, _OVERRULED[made.inspection.outcome])
    else:
        messages.success(request, _SAVED[made.decision])
    return _to(category)


@require_POST
@needs(Right.TUNE)
def set_budget(request: HttpRequest) -> HttpResponse:
    """A new revision of a category's budget, in force at once."""
    category = _category_of(request)
    form = BudgetForm(request.POST)
    if not form.is_valid():
        return _page(request, category, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    values = form.cleaned_data
    try:
        row = services.set_budget(
            category=category, actor=request.user, **values | {"shift_starts": values["shift_starts"].split(",")}
        )
    except UserError as error:
        return _page(request, category, form=form, failed=error)
    messages.success(
        request,
        _("Revision %(revision)s of the review budget of %(category)s is saved.")
        % {"revision": row.revision, "category": category.name},
    )
    return _to(category)


def _page(
    request: HttpRequest,
    category: Category | None,
    *,
    categories: list[Any] | None = None,
    form: BudgetForm | None = None,
    failed: UserError | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    context: dict[str, Any] = {
        "categories": _categories() if categories is None else categories,
        "category": category,
        "failed": failed,
        "form": form,
        "defect_types": defect_types(),
    }
    if category is not None:
        budget = selectors.budget_in_force(category)
        initial = {"per_shift": budget.per_shift, "shift_starts": ", ".join(budget.shift_starts)}
        context |= {
            "card": selectors.reservation_of(category, request.user),
            "progress": selectors.progress_of(category),
            "budget": selectors.newest_budget(category),
            "form": form or BudgetForm(initial=initial),
            "is_set_open": form is not None,
        }
    return render(request, "quality/queue.html", context, status=failed.status if failed else status)


def _categories() -> list[Any]:
    """Those of which a version is in production."""
    served = ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION).order_by().values("category")
    return list(Category.objects.filter(pk__in=served).order_by("name")[:_CATEGORIES])


def _category_of(request: HttpRequest) -> Category:
    try:
        return find_category(request.POST.get("category", ""))
    except UserError as error:
        raise Http404(error.detail) from error


def _to(category: Category) -> HttpResponse:
    return redirect(f"{reverse('review-queue')}?{urlencode({'category': category.name})}")
