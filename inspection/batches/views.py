"""Batches: many images as one job, from asking for one to its report."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, BinaryIO, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect

from common.api.pagination import read_page
from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.addresses import query_string
from common.web.browser import category_of
from common.web.decorators import needs, refusal
from common.web.htmx import HtmxRequest
from inspection.batches import documents, gathering, selectors, services
from inspection.judging.services import PartContext
from inspection.models import Inspection, InspectionRequest
from modelzoo.selectors import active_deployments, deployment_in_force
from records.assets.selectors import accepted_files
from training.datasets.layouts.archives import is_zip

_LOOKERS = (Right.READ, Right.INSPECT)
_FAILURES = 20
_STATES = {
    "queued": _("Waiting"),
    "running": _("Running"),
    "finished": _("Finished"),
    "cancelled": _("Cancelled"),
}
# What the grid of results can be narrowed down to.
_RESULT_FILTERS: dict[str, tuple[Any, Q]] = {
    "failed": (_("Failed"), Q(status=InspectionRequest.Status.FAILED)),
    "cancelled": (_("Cancelled"), Q(status=InspectionRequest.Status.CANCELLED)),
    "good": (pgettext_lazy("verdict", "Good"), Q(inspection__outcome=Inspection.Outcome.GOOD)),
    "defective": (pgettext_lazy("verdict", "Defect"), Q(inspection__outcome=Inspection.Outcome.DEFECTIVE)),
    "not_comparable": (_("Not comparable"), Q(inspection__outcome=Inspection.Outcome.NOT_COMPARABLE)),
    "overruled": (_("Overruled"), Q(inspection__standing__overruled=True)),
}
_MODEL_OUTCOMES = frozenset(Inspection.Outcome.values)


def _text(label: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=100, widget=forms.TextInput({"autocomplete": "off"}))


class BatchForm(forms.Form):
    """What is said of all images of a batch; the images themselves come beside it."""

    category = _text(_("Category"))
    lot = _text(_("Lot"))
    station = _text(_("Station"))
    part_number = _text(_("Part number"))
    folder = forms.CharField(
        label=_("Folder of the server"),
        required=False,
        max_length=1000,
        widget=forms.TextInput({"autocomplete": "off"}),
    )


# ---------------------------------------------------------------- the list
_REPORTS = {
    "format=csv": "CSV",
    "format=csv&dialect=excel-de": _("CSV with semicolons"),
    "format=json": "JSON",
    "format=html": "HTML",
}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(*_LOOKERS)
def browse(request: HtmxRequest) -> HttpResponse:
    """The batches there were, newest first, and a form for another one."""
    if request.method == "POST":
        return _start(request) if may(request.user, Right.INSPECT) else refusal(request, Right.INSPECT)
    return _list(request)


def _list(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    requested = request.GET.get("status", "")
    state = requested if requested in _STATES else ""
    context: dict[str, Any] = {
        "states": [("", _("All")), *_STATES.items()],
        "state": state,
        "form": BatchForm(initial={"category": category_of(request)}),
        "in_force": sorted(deployment.category.name for deployment in active_deployments()),
        "accept": f"{accepted_files()},.zip",
        "max_files": settings.BATCH_MAX_FILES,
        "max_zip_files": settings.BATCH_MAX_ZIP_FILES,
        "roots": settings.BATCH_ROOTS,
        **more,
    }
    try:
        page = read_page(selectors.batches(status=state), request, ordering=("-created_at", "-id"))
    except UserError as error:
        return render(request, "batches/list.html", context | {"lost": error}, status=error.status)
    counted = documents.summaries(page.rows) if page.rows else []
    rows = [
        (batch, counts | {"state": _STATES[batch.status]}) for batch, counts in zip(page.rows, counted, strict=True)
    ]
    context |= {"page": page, "rows": rows}
    return render(request, "batches/list.html", context, status=status)


def _start(request: HtmxRequest) -> HttpResponse:
    """Ask for a batch: some files, or one zip, or a folder of the server."""
    form = BatchForm(request.POST)
    try:
        if not form.is_valid():
            raise UserError("A field is too long. Nothing was saved. Shorten it.", code="invalid")
        values = form.cleaned_data
        uploads: Sequence[UploadedFile] = request.FILES.getlist("images")
        # One that only claims to be a zip is refused as one that is none.
        is_archive = len(uploads) == 1 and (
            is_zip(cast(BinaryIO, uploads[0])) or str(uploads[0].name).lower().endswith(".zip")
        )
        archive = uploads[0] if is_archive else None
        if not uploads and not values["folder"]:
            raise UserError(
                "Nothing was chosen. Choose images, or one zip of images, then start the batch.", code="empty_batch"
            )
        deployment = deployment_in_force(values["category"], station=values["station"])
        gathered = gathering.gather(
            files=() if archive else uploads,
            archive=archive,
            folder=values["folder"],
            actor=request.user,
            window=deployment.model_version.window,
        )
        batch = services.request_batch(
            items=gathered.items,
            name=gathered.name,
            folder=gathered.folder,
            warnings=gathered.warnings,
            deployment=deployment,
            source="web",
            actor=request.user,
            part=PartContext(station=values["station"], part_number=values["part_number"], lot=values["lot"]),
        )
    except UserError as error:
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        if request.htmx:
            return render(request, "batches/list.html#refused", {"failed": error})
        return _list(request, failed=error, form=form, status=error.status)
    address = reverse("batch-page", args=[batch.pk])
    if request.htmx:
        return HttpResponseClientRedirect(address)
    return redirect(address)


# ---------------------------------------------------------------- one of them
@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(*_LOOKERS)
def batch_page(request: HtmxRequest, batch_id: uuid.UUID) -> HttpResponse:
    """Progress, results and failures; while it runs htmx asks again for all but the head."""
    return _batch_page(request, batch_id)


def _batch_page(request: HtmxRequest, batch_id: uuid.UUID, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    try:
        batch = selectors.find_batch(batch_id)
    except NotFound as error:
        raise Http404 from error
    summary = documents.batch_summary(batch)
    requested = request.GET.get("show", "")
    result_filter = requested if requested in _RESULT_FILTERS else ""
    items = selectors.items_of(batch)
    over = not batch.is_open
    context: dict[str, Any] = {
        "batch": batch,
        "summary": summary,
        "state": _STATES[batch.status],
        "over": over,
        "ahead": summary["total"] - summary["done"] - summary["failed"] - summary["cancelled"],
        "shown": result_filter,
        "choices": [
            ("", _("All"), summary["total"], False),
            *(
                (name, words, summary[name], name in _MODEL_OUTCOMES)
                for name, (words, _condition) in _RESULT_FILTERS.items()
                if summary[name] or name == result_filter
            ),
        ],
        "failures": list(items.filter(_RESULT_FILTERS["failed"][1])[:_FAILURES])
        if summary["failed"] and not result_filter
        else [],
        "reports": [
            (f"{reverse('batch-report', args=[batch.pk])}?{params}", words) for params, words in _REPORTS.items()
        ],
        "here": _address(batch_id, result_filter, request.GET.get("cursor", "")),
        **more,
    }
    filtered_items = items.filter(_RESULT_FILTERS[result_filter][1]) if result_filter else items
    try:
        page = read_page(filtered_items, request, ordering=("position",))
        context |= {
            "items": page.rows,
            "earlier": page.previous and _address(batch_id, result_filter, page.previous_cursor),
            "later": page.next and _address(batch_id, result_filter, page.next_cursor),
        }
    except UserError as error:
        context["lost"] = error
        status = error.status
    if request.htmx:
        return render(request, "batches/one.html#live", context)
    return render(request, "batches/one.html", context, status=status)


def _address(batch_id: uuid.UUID, result_filter: str, cursor: str) -> str:
    """Of what is shown, from a place on; whoever asked, and however."""
    return reverse("batch-page", args=[batch_id]) + query_string({"show": result_filter, "cursor": cursor})


@require_POST
@needs(Right.INSPECT)
def cancel(request: HtmxRequest, batch_id: uuid.UUID) -> HttpResponse:
    """Cancel it. Its records stay."""
    try:
        batch = services.cancel_batch(batch_id=batch_id, actor=request.user)
    except NotFound as error:
        raise Http404 from error
    except UserError as error:
        return _batch_page(request, batch_id, status=error.status, failed=error)
    sentence = (
        _("The batch was cancelled. It stops after the current images. Images judged so far keep their records.")
        if batch.is_open
        else _("The batch was cancelled. No more images are judged. Images judged so far keep their records.")
    )
    messages.success(request, str(sentence))
    return redirect("batch-page", batch_id)
