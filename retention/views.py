"""How long files are kept: the rule of each category, what it would remove, and carrying it out."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from modelzoo.models import Category
from modelzoo.selectors import find_category
from retention import selectors, services
from retention.models import MAX_DAYS, MAX_KEEP_EVERY, RetentionPolicy

_CATEGORIES = 200
_RUNS = 12


def _days(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, max_value=MAX_DAYS)


class PolicyForm(forms.Form):
    """A new revision. Without any days it keeps everything."""

    good_after_days = _days(_("Delete images of good parts after days"))
    good_keep_every = forms.IntegerField(
        label=_("Keep 1 in N of them"), required=False, min_value=0, max_value=MAX_KEEP_EVERY
    )
    maps_after_days = _days(_("Delete maps of good parts after days"))
    defective_after_days = _days(_("Delete all other images after days"))
    keep_reviewed = forms.BooleanField(label=_("Keep reviewed images"), required=False)
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput({"autocomplete": "off"}))

    def clean_good_keep_every(self) -> int:
        return self.cleaned_data["good_keep_every"] or 0


@dataclass(frozen=True)
class Rule:
    """A category, the policy that is in force, and the form for the next one."""

    category: Category
    policy: RetentionPolicy | None
    form: PolicyForm
    may_run: bool


def _page(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    invalid_forms: dict[int, PolicyForm] = more.pop("invalid_forms", {})
    in_force = {policy.category_id: policy for policy in selectors.policies_in_force()}
    rehearsed = selectors.rehearsed_policy_ids(in_force.values())
    rules = []
    for category in Category.objects.order_by("name")[:_CATEGORIES]:
        policy = in_force.get(category.pk)
        form = invalid_forms.get(category.pk) or PolicyForm(initial=_initial(policy), auto_id=f"id_{category.pk}_%s")
        rules.append(Rule(category, policy, form, policy is not None and policy.pk in rehearsed))
    runs = list(selectors.runs()[:_RUNS])
    context = {
        "rules": rules,
        "runs": runs,
        "under_way": any(run.is_open for run in runs),
        "orphan_days": settings.ORPHAN_DAYS,
        "orphans_may_run": selectors.was_rehearsed(policy=None, orphan_days=settings.ORPHAN_DAYS),
        "open_category": next(iter(invalid_forms), None),
        **more,
    }
    return render(request, "settings/retention.html", context, status=status)


def _initial(policy: RetentionPolicy | None) -> dict[str, Any]:
    if policy is None:
        return {"keep_reviewed": True, "good_keep_every": 0}
    names = ("good_after_days", "good_keep_every", "maps_after_days", "defective_after_days", "keep_reviewed")
    return {name: getattr(policy, name) for name in names}


@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.ADMINISTER, Right.AUDIT, hidden=True)
def retention(request: HtmxRequest) -> HttpResponse:
    """The rules, and the runs that carried them out; htmx asks for the runs alone while one is under way."""
    if request.htmx:
        runs = list(selectors.runs()[:_RUNS])
        under_way = any(run.is_open for run in runs)
        response = render(request, "settings/retention.html#runs", {"runs": runs, "under_way": under_way})
        if not under_way:
            response["HX-Refresh"] = "true"  # what may be done next has changed
        return response
    return _page(request)


@require_POST
@needs(Right.ADMINISTER, hidden=True)
def set_policy(request: HttpRequest) -> HttpResponse:
    """A new revision of a category's rule, in force at once. Nothing is removed by it."""
    try:
        category = find_category(request.POST.get("category", ""))
    except UserError as error:
        return _page(request, failed=error, status=error.status)
    form = PolicyForm(request.POST, auto_id=f"id_{category.pk}_%s")
    if not form.is_valid():
        return _page(request, invalid_forms={category.pk: form}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        policy = services.set_policy(category=category, actor=request.user, **form.cleaned_data)
    except UserError as error:
        return _page(request, invalid_forms={category.pk: form}, failed=error, status=error.status)
    sentence = _("Revision %(n)s of %(category)s is active. Nothing was deleted. Preview deletion to see its effect.")
    messages.success(request, str(sentence) % {"n": policy.revision, "category": category.name})
    return redirect("retention")


@require_POST
@needs(Right.ADMINISTER, hidden=True)
def start_run(request: HttpRequest) -> HttpResponse:
    """A dry run, or a real one, of a category's rule; without a category, of orphaned files."""
    try:
        name = request.POST.get("category", "")
        policy = selectors.policy_of(name) if name else None
        run = services.request_run(policy=policy, dry_run=request.POST.get("dry_run") != "no", actor=request.user)
    except UserError as error:
        return _page(request, failed=error, status=error.status)
    sentence = (
        _("Preview started: nothing is deleted. The result appears below.")
        if run.dry_run
        else _("Deletion started. The result appears below.")
    )
    messages.success(request, str(sentence))
    return redirect("retention")
