"""A data set made of reviewed inspections."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from inspection.history.filters import parse_filters
from inspection.reviews import reviewed_data
from modelzoo.models import Category


class FromReviewsForm(forms.Form):
    """Which reviewed records become images of which data set."""

    name = forms.CharField(
        label=_("Name of the data set"), max_length=100, help_text=_("an existing name gets a new snapshot")
    )
    category = forms.ChoiceField(label=_("Category"))
    since = forms.DateField(
        label=_("Inspected from"),
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text=_("empty: no limit"),
    )
    until = forms.DateField(
        label=_("Inspected until"),
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text=_("this day included; empty: no limit"),
    )
    test_share = forms.FloatField(
        label=_("Test images, %"),
        min_value=0,
        max_value=100,
        initial=f"{100 * reviewed_data.TEST_SHARE:g}",
        help_text=_("of the good parts; always the same images. Images of defects are always test images."),
    )
    include_confirmed_good = forms.BooleanField(
        label=_("Include confirmed good parts"),
        required=False,
        initial=True,
        help_text=_("otherwise only false rejects (good parts that a model rejected)"),
    )
    include_contested = forms.BooleanField(
        label=_("Include images with differing reviews"), required=False, help_text=_("labelled by the last review")
    )

    def __init__(self, data: Any, initial: dict[str, str]) -> None:
        super().__init__(data, initial=initial)
        names = Category.objects.order_by("name").values_list("name", flat=True)[:200]
        self.fields["category"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def selected_category(self) -> Category:
        return Category.objects.get(name=self.cleaned_data["category"])

    def choice(self) -> reviewed_data.Choice:
        values = self.cleaned_data
        period = {name: f"{values[name]:%Y-%m-%d}" for name in ("since", "until") if values[name]}
        return reviewed_data.Choice(
            filters=parse_filters(period),
            test_share=values["test_share"] / 100,
            include_confirmed_good=values["include_confirmed_good"],
            include_contested=values["include_contested"],
        )


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def from_reviews(request: HtmxRequest) -> HttpResponseBase:
    """The form, and what comes of it: a data set, or a sentence that says why not."""
    form = FromReviewsForm(
        request.POST if request.method == "POST" else None, {"category": request.GET.get("category", "")}
    )
    failed: UserError | None = None
    status: int = HTTPStatus.OK
    count: reviewed_data.Count | None = None
    if request.method == "POST" and request.POST.get("act") == "count":
        form.fields["name"].required = False
        if form.is_valid():
            count = reviewed_data.count_images(category=form.selected_category(), choice=form.choice())
        status = HTTPStatus.OK if form.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY
    elif request.method == "POST":
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.is_valid():
            try:
                dataset, created = reviewed_data.dataset_from_reviews(
                    name=form.cleaned_data["name"],
                    category=form.selected_category(),
                    choice=form.choice(),
                    actor=request.user,
                )
            except UserError as error:
                failed, status = error, error.status
            else:
                sentence = "was created from reviewed inspections." if created else "has exactly these images already."
                messages.success(request, f"{dataset} {sentence}")
                return redirect("dataset", dataset.pk)
    context = {"form": form, "failed": failed, "count": count}
    if request.htmx and (count or not form.is_valid()):
        # htmx swaps answers of 2xx only; the partial itself says what is wrong.
        return render(request, "datasets/from_reviews.html#count", context)
    return render(request, "datasets/from_reviews.html", context, status=status)
