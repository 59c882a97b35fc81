"""A data set made of reviewed inspections."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.roles import Right
from accounts.web import needs
from inspection import reviewed_data
from inspection.history import parse_filters
from modelzoo.models import Category
from mvtec_site.errors import UserError


class FromReviewsForm(forms.Form):
    """Which reviewed records become images of which data set."""

    name = forms.CharField(
        label="Name of the data set", max_length=100, help_text="an existing name gets another snapshot"
    )
    category = forms.ChoiceField(label="Part")
    since = forms.DateField(
        label="Inspected from", required=False, widget=forms.DateInput({"type": "date"}), help_text="without it, ever"
    )
    until = forms.DateField(
        label="until before", required=False, widget=forms.DateInput({"type": "date"}), help_text="without it, now"
    )
    test_share = forms.FloatField(
        label="Held back for testing, %",
        min_value=0,
        max_value=100,
        initial=f"{100 * reviewed_data.TEST_SHARE:g}",
        help_text="of the good parts; the same images every time. Defective parts are for testing always.",
    )
    include_confirmed_good = forms.BooleanField(
        label="Good parts that no model had rejected",
        required=False,
        initial=True,
        help_text="without them, only the false rejects: hard good examples to extend a version with",
    )
    include_contested = forms.BooleanField(
        label="Images about which people differ", required=False, help_text="the last word counts"
    )

    def __init__(self, data: Any, initial: dict[str, str]) -> None:
        super().__init__(data, initial=initial)
        names = Category.objects.order_by("name").values_list("name", flat=True)[:200]
        self.fields["category"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def choice(self) -> reviewed_data.Choice:
        given = self.cleaned_data
        period = {name: f"{given[name]:%Y-%m-%d}" for name in ("since", "until") if given[name]}
        return reviewed_data.Choice(
            filters=parse_filters(period),
            test_share=given["test_share"] / 100,
            include_confirmed_good=given["include_confirmed_good"],
            include_contested=given["include_contested"],
        )


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def from_reviews(request: HttpRequest) -> HttpResponseBase:
    """The form, and what comes of it: a data set, or a sentence that says why not."""
    form = FromReviewsForm(
        request.POST if request.method == "POST" else None, {"category": request.GET.get("category", "")}
    )
    failed: UserError | None = None
    status: int = HTTPStatus.OK
    if request.method == "POST":
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.is_valid():
            try:
                dataset, created = reviewed_data.dataset_from_reviews(
                    name=form.cleaned_data["name"],
                    category=Category.objects.get(name=form.cleaned_data["category"]),
                    choice=form.choice(),
                    actor=request.user,
                )
            except UserError as error:
                failed, status = error, error.status
            else:
                said = "was made of reviewed inspections." if created else "has exactly these images already."
                messages.success(request, f"{dataset} {said}")
                return redirect("dataset", dataset.pk)
    return render(request, "datasets/from_reviews.html", {"form": form, "failed": failed}, status=status)
