"""The page on which somebody sees what an upload would become, before anything of it is imported."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.refusals import refusal_html
from training.datasets.imports import ImportResult
from training.datasets.layouts.families import LAYOUTS
from training.datasets.uploads import services
from training.datasets.uploads.pending import PendingUpload, Reading, find_pending
from training.datasets.views import list_page

_MAX_NAMES = 100  # folder names that a form may give


@require_http_methods(["GET", "HEAD", "POST"])
def datasets(request: HtmxRequest) -> HttpResponseBase:
    """Every snapshot, and the forms that send images; POST takes them."""
    return _receive(request) if request.method == "POST" else list_page(request)


@needs(Right.TRAIN)
def _receive(request: HtmxRequest) -> HttpResponseBase:
    """An archive, pictures or a folder: it waits, and its page says what it would become. htmx gets the sentence of a
    refusal, a plain form the list with it."""
    archive, images = request.FILES.get("archive"), request.FILES.getlist("images")
    try:
        reading = Reading(name=_text(request, "name"))
        if archive is not None:
            upload = services.receive_archive(file=archive, reading=reading, actor=request.user)
        elif "paths" in request.POST:
            paths = request.POST["paths"]
            upload = services.receive_images(files=images, paths=paths, reading=reading, actor=request.user)
        else:
            raise UserError("Choose an archive first: a .zip, .tar, .tar.gz or .tar.xz.", code="no_archive")
    except UserError as error:
        of_images = "paths" in request.POST and archive is None
        context = {
            "images_failed" if of_images else "failed": error,
            "filename": archive.name if archive else "",
            "images_name" if of_images else "name": request.POST.get("name", ""),
        }
        if request.htmx:  # it swaps answers of 2xx only; the partial itself says that it failed
            return render(request, f"datasets/list.html#{'images_refused' if of_images else 'refused'}", context)
        return list_page(request, status=error.status, **context)
    return _go(request, reverse("dataset-upload", args=[upload.token]))


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def pending(request: HtmxRequest, token: str) -> HttpResponseBase:
    """What an upload would become; POST reads it differently, imports or drops it."""
    try:
        upload = find_pending(token, request.user)
        if request.method != "POST":
            response = _preview_page(request, upload)
            add_never_cache_headers(response)
            return response
        act = request.POST.get("act")
        if act == "import":
            return _import(request, upload)
        if act == "drop":
            upload.drop()
            messages.success(request, _("%(source)s was dropped. Nothing was imported.") % {"source": upload.source})
            return _go(request, reverse("datasets"))
        return _read_differently(request, upload)
    except UserError as error:
        if error.code != "upload_not_found":
            raise
        messages.error(request, refusal_html(error))
        return _go(request, reverse("datasets")) if request.htmx else list_page(request, status=error.status)


@require_GET
@needs(Right.TRAIN)
def progress(request: HtmxRequest, token: str) -> HttpResponse:
    """How many images were looked at. It says nothing of an upload that is gone."""
    try:
        done, total = find_pending(token, request.user).progress()
    except UserError:
        return HttpResponse(status=286)  # htmx asks no more
    return render(request, "datasets/upload.html#progress", {"done": done, "total": total})


def _preview_page(request: HtmxRequest, upload: PendingUpload) -> HttpResponse:
    """At once where the preview is there; else the page first, which asks for the preview and shows how far it is."""
    context: dict[str, Any] = {"upload": upload}
    status: int = HTTPStatus.OK
    if request.GET.get("now") or upload.preview() is not None:
        try:
            previews = services.read_upload(upload)
        except UserError as error:
            if error.code == "upload_not_found":
                raise
            context["failed"], status = error, error.status
        else:
            context |= _preview_context(previews)
        context |= {"layouts": LAYOUTS, "expires_at": upload.expires_at}
    if request.htmx:
        return render(request, "datasets/upload.html#preview", context)
    return render(request, "datasets/upload.html", context, status=status)


def _preview_context(previews: list[dict[str, Any]]) -> dict[str, Any]:
    return {"previews": previews, "image_count": sum(row["count"] for one in previews for row in one["images"])}


def _read_differently(request: HtmxRequest, upload: PendingUpload) -> HttpResponseBase:
    reading = Reading(
        name=_text(request, "name"),
        layout=_text(request, "layout"),
        good=_names(request, "good"),
        defect=_names(request, "defect"),
        keep_duplicates="keep_duplicates" in request.POST,
    )
    try:
        services.read_differently(upload, reading)
    except UserError as error:
        if error.code == "upload_not_found":
            raise
        messages.error(request, refusal_html(error))
    return _go(request, reverse("dataset-upload", args=[upload.token]))


def _import(request: HtmxRequest, upload: PendingUpload) -> HttpResponseBase:
    try:
        imported = services.import_upload(upload, actor=request.user)
    except UserError as error:
        if error.code == "upload_not_found":
            raise
        messages.error(request, refusal_html(error))
        return _go(request, reverse("dataset-upload", args=[upload.token]))
    for item in imported:
        messages.success(request, _import_message(item))
    only = imported[0].dataset if len(imported) == 1 else None
    return _go(request, reverse("dataset", args=[only.pk]) if only else reverse("datasets"))


def _go(request: HtmxRequest, address: str) -> HttpResponseBase:
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


def _text(request: HtmxRequest, field: str) -> str:
    return request.POST.get(field, "").replace("\0", "").strip()[:500]


def _names(request: HtmxRequest, field: str) -> tuple[str, ...]:
    """Folder names, separated by commas, that the form says are of good or of defective parts."""
    return tuple(name.strip() for name in _text(request, field).split(",") if name.strip())[:_MAX_NAMES]


def _import_message(item: ImportResult) -> str:
    if not item.created:
        sentence = _("%(name)s was already imported with the same content: %(dataset)s. Nothing was added.")
        return sentence % {"name": item.dataset.name, "dataset": item.dataset}
    skipped, warnings = item.dataset.report.get("skipped_count", 0), len(item.dataset.report.get("warnings", []))
    notes = []
    if skipped:
        notes.append(_("1 file skipped") if skipped == 1 else _("%(count)s files skipped") % {"count": skipped})
    if warnings:
        notes.append(_("1 warning") if warnings == 1 else _("%(count)s warnings") % {"count": warnings})
    aside = f" ({', '.join(notes)})" if notes else ""
    return _("%(dataset)s was imported%(aside)s.") % {"dataset": item.dataset, "aside": aside}
