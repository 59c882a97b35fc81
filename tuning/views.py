"""Pages of tuning: the thresholds, one to look at before it is applied, and two model versions on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from common.errors import UserError
from common.numbers import score_text
from common.rights import Right, may
from common.web.addresses import query_string, whole_number
from common.web.decorators import needs, refusal
from common.web.htmx import HtmxRequest
from inspection.history.filters import Filters
from modelzoo import pages
from modelzoo.models import ModelVersion
from modelzoo.pages import flat
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from modelzoo.views import MAX_REASON_LENGTH, reason_of, version_or_404
from tuning.rescoring import comparison, services
from tuning.what_if import pages as what_if_pages
from tuning.what_if import services as what_if_services
from tuning.what_if.estimates import Costs
from tuning.what_if.pages import DAYS, PreviewQuery

_MAX_COST = 1e12


@require_GET
@needs(Right.READ)
def thresholds(request: HttpRequest) -> HttpResponse:
    """Of each category the threshold in force."""
    return render(request, "thresholds/list.html", {"rows": what_if_pages.thresholds_by_category()})


class PreviewForm(forms.Form):
    """What the address of a threshold's page may say; what is left out is as it is in force."""

    threshold = forms.FloatField(
        label=_("Threshold"), required=False, error_messages={"invalid": _("This is not a valid score.")}
    )
    days = forms.IntegerField(required=False, min_value=1, max_value=3650)
    percentile = forms.FloatField(label=_("Percentile"), required=False, min_value=0, max_value=100)
    false_reject = forms.FloatField(label=_("False reject"), required=False, min_value=0.01, max_value=99.99)
    cost_false_reject = forms.FloatField(label=_("Cost false reject"), required=False, min_value=0, max_value=_MAX_COST)
    cost_escape = forms.FloatField(label=_("Cost escape"), required=False, min_value=0, max_value=_MAX_COST)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        costs = values.get("cost_false_reject"), values.get("cost_escape")
        if (costs[0] is None) != (costs[1] is None) and not self.errors:
            missing = "cost_false_reject" if costs[0] is None else "cost_escape"
            self.add_error(missing, str(_("Enter both costs or none: only their ratio counts.")))
        return values

    @property
    def query(self) -> PreviewQuery:
        """What was asked for, as far as it can be read."""
        cleaned, standard = self.cleaned_data, PreviewQuery()
        reject = cleaned.get("false_reject")
        costs = cleaned.get("cost_false_reject"), cleaned.get("cost_escape")
        return PreviewQuery(
            threshold=cleaned.get("threshold"),
            days=cleaned.get("days") or standard.days,
            percentile=cleaned.get("percentile"),
            false_reject_rate=standard.false_reject_rate if reject is None else reject / 100,
            costs=None if costs[0] is None or costs[1] is None else Costs(costs[0], costs[1]),
        )


class DecisionForm(forms.Form):
    """What somebody decides: a value in place of a revision, or to take that revision back."""

    instead_of = forms.IntegerField(min_value=1, max_value=2**31 - 1)
    value = forms.FloatField(required=False)
    method = forms.CharField(required=False, max_length=16)
    reason = forms.CharField(required=False, max_length=MAX_REASON_LENGTH)
    undo = forms.BooleanField(required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.READ)
def threshold(request: HtmxRequest, version_id: int) -> HttpResponse:
    """What a value would have done, beside the active one; a form's answer applies or undoes one."""
    version = version_or_404(version_id, find=what_if_pages.find_version)
    if request.method == "POST":
        return _decide(request, version) if may(request.user, Right.TUNE) else refusal(request, Right.TUNE)
    if request.htmx:
        return _figures(request, version)
    if any(value == "" for value in request.GET.values()):
        return redirect(_address(version, request.GET))  # a form sends its empty fields too; addresses are short
    return _page(request, version)


def _address(version: ModelVersion, params: Mapping[str, str], **changed: str) -> str:
    return reverse("threshold", args=[version.pk]) + query_string({**dict(params.items()), **changed})


def _page(request: HttpRequest, version: ModelVersion, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    form = PreviewForm(request.GET)
    valid = form.is_valid()
    query = form.query
    revisions = list(what_if_pages.revisions(version))
    context = {
        "version": version,
        "form": form,
        "query": query,
        "method": request.GET.get("method", ""),
        "periods": [(days, _address(version, request.GET, days=str(days))) for days in DAYS],
        "here": _address(version, request.GET),
        "revisions": [(one, what_if_pages.method_text(one), list(flat(one.evidence))) for one in revisions],
        "before": revisions[1] if len(revisions) > 1 else None,
        "stage": what_if_pages.stage_word(version),
        **what_if_pages.preview(version, query, whole=True),
        **more,
    }
    for preset in context["presets"]:
        if preset["exact"]:
            params = {"threshold": preset["exact"], "method": preset["method"]}
            preset["address"] = _address(version, request.GET, **params)
            preset["on"] = preset["value"] == context["value"] and context["method"] in ("", preset["method"])
    if not valid and status == HTTPStatus.OK:
        status = HTTPStatus.BAD_REQUEST
    return render(request, "thresholds/one.html", context, status=status)


def _figures(request: HttpRequest, version: ModelVersion) -> HttpResponse:
    """What depends on the value alone, for htmx as the slider moves: figures, and what would be applied."""
    form = PreviewForm(request.GET)
    context: dict[str, Any] = {"version": version}
    if form.is_valid():
        context |= what_if_pages.preview(version, form.query, whole=False)
        parts = ["figures", "applied"] if may(request.user, Right.TUNE) else ["figures"]
    else:
        context["wrong"] = [error for errors in form.errors.values() for error in errors]
        parts = ["figures"]
    context["swapped"] = True
    return HttpResponse("".join(render_to_string(f"thresholds/one.html#{part}", context, request) for part in parts))


def _decide(request: HttpRequest, version: ModelVersion) -> HttpResponse:
    """Apply the value that was looked at, or take the revision in force back."""
    form = DecisionForm(request.POST)
    preview = PreviewForm(request.GET)
    try:
        if not form.is_valid() or (form.cleaned_data["value"] is None and not form.cleaned_data["undo"]):
            problem = "; ".join(f"{name}: {errors[0]}" for name, errors in form.errors.items())
            raise UserError(f"The threshold was not changed. {problem or 'Enter the value to apply.'}", code="invalid")
        values = form.cleaned_data
        signature = form_signature(request, act=Act.THRESHOLD, about=version)
        if values["undo"]:
            revision = what_if_services.undo_threshold(
                version=version,
                revision=values["instead_of"],
                reason=values["reason"],
                actor=request.user,
                signature=signature,
            )
        else:
            preview.is_valid()
            query = replace(preview.query, threshold=values["value"])
            method, parameters, evidence = what_if_pages.evidence(version, query, values["method"])
            revision = what_if_services.apply_threshold(
                version=version,
                value=values["value"],
                instead_of=values["instead_of"],
                reason=values["reason"],
                actor=request.user,
                method=method,
                parameters=parameters,
                evidence=evidence,
                signature=signature,
            )
    except UserError as error:
        return _page(
            request,
            version,
            status=error.status,
            failed=error,
            reason=request.POST.get("reason", "")[:MAX_REASON_LENGTH],
            undoing="undo" in request.POST,
        )
    sentence = _(
        "Revision %(n)s is active: %(value)s for %(model)s, from the next image on. Past verdicts do not change."
    )
    shown = {"n": revision.revision, "value": score_text(revision.value), "model": version}
    messages.success(request, str(sentence) % shown)
    return redirect(_address(version, {"days": request.GET.get("days", "")}))


# ---------------------------------------------------------------- two versions on the same images
class RescoringForm(forms.Form):
    """Which of two versions scores what the other one judged, of how many days."""

    scorer = forms.IntegerField(min_value=1)
    days = forms.IntegerField(min_value=1, max_value=3650)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def compare(request: HttpRequest) -> HttpResponse:
    """`?a=&b=`: two versions side by side; a form's answer has one of them score what the other one judged."""
    version_ids = request.GET.getlist("version")
    if len(version_ids) == 2:  # as the list of versions sends them
        return redirect(f"{reverse('models-compare')}?{urlencode({'a': version_ids[0], 'b': version_ids[1]})}")
    numbers = [request.GET.get(name, "") for name in ("a", "b")]
    versions = [_version_or_none(text) for text in numbers]
    if None in versions or versions[0] == versions[1]:
        messages.error(request, _("Select two different versions in the list, then press Compare."))
        return redirect("models")
    one, other = versions
    if request.method == "POST":
        return _rescore(request, one, other) if may(request.user, Right.TUNE) else refusal(request, Right.TUNE)
    return render(request, "models/compare.html", comparison.compared(one, other))


def _version_or_none(text: str) -> Any:
    number = whole_number(text)
    return None if number is None else pages.find_version(number)


def _rescore(request: HttpRequest, one: ModelVersion, other: ModelVersion) -> HttpResponse:
    form = RescoringForm(request.POST)
    try:
        if not form.is_valid() or form.cleaned_data["scorer"] not in (one.pk, other.pk):
            raise UserError("Nothing was started. Choose one of the two versions and 1 to 3650 days.", code="invalid")
        scorer, judge = (one, other) if form.cleaned_data["scorer"] == one.pk else (other, one)
        since = timezone.now() - timedelta(days=form.cleaned_data["days"])
        run = services.request_rescoring(
            version=scorer,
            filters=Filters(model_version=judge.pk, since=since),
            reason=reason_of(request),
            actor=request.user,
        )
    except UserError as error:
        context = comparison.compared(one, other)
        return render(
            request,
            "models/compare.html",
            context | {"failed": error, "reason": request.POST.get("reason", "")[:MAX_REASON_LENGTH]},
            status=error.status,
        )
    messages.success(
        request,
        _(
            "Re-scoring of %(run)s records of %(judge)s with %(scorer)s was started. Images of the "
            "line go first. Records do not change. The progress is shown below."
        )
        % {"run": f"{run.total:,}", "judge": judge, "scorer": scorer},
    )
    return redirect(f"{reverse('models-compare')}?{urlencode({'a': one.pk, 'b': other.pk})}")
