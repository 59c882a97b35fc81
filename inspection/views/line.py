"""The line: what is loaded, a place for images, the newest records, today's figures."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any
from urllib.parse import urlencode, urlsplit

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import replace_url, trigger_client_event

from accounts.roles import Right
from accounts.web import needs
from inspection import line as reads
from inspection import selectors, services
from inspection.api.views import read_upload
from inspection.models import Inspection, Review
from inspection.reviews import COMMENT_MOST, record_review
from inspection.views.record import reviews_seen
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import active_deployments
from mvtec_site.errors import NotFound, UserError
from mvtec_site.frame import station_of
from mvtec_site.toasts import toast_on_next_page, with_toast

# More images than that at once are a batch.
_QUEUE_MOST = 50
# Of the newest records so many with their pictures; of the others their shapes.
_LISTED = 14


class PartForm(forms.Form):
    """What is known of the part, all of it optional."""

    station = forms.CharField(required=False, max_length=100)
    lot = forms.CharField(required=False, max_length=100)
    part_number = forms.CharField(required=False, max_length=100, label="Part number")
    serial_number = forms.CharField(required=False, max_length=100, label="Serial number")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.label_suffix = ""

    def context(self) -> services.PartContext:
        """Raises `UserError` with the first thing that is wrong."""
        if not self.is_valid():
            name, errors = next(iter(self.errors.items()))
            raise UserError(f"{self[name].label}: {errors[0]} Nothing was kept of the image.", code="invalid")
        return services.PartContext(**self.cleaned_data)


# ---------------------------------------------------------------- the page and its parts
@require_GET
@vary_on_headers("HX-Request", "HX-Target")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.READ)
def line(request: HttpRequest) -> HttpResponse:
    """The whole page; `?category=` chooses the line and `?inspection=` opens a record. htmx opens one by its part."""
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    if htmx and htmx.target == "result":
        shown = reads.opened(request.GET.get("inspection", ""))
        if shown is None:
            raise Http404("There is no such inspection.")
        return trigger_client_event(render(request, "line.html#result", {"shown": shown} | _limits()), "opened")
    return _page(request, request.GET)


@require_GET
@needs(Right.READ)
def line_status(request: HttpRequest) -> HttpResponse:
    """State and newest records of the page that asks, the latter only if they look different from those it `seen`."""
    context = _state(_asked(request))
    newest = render_to_string("line.html#latest", context, request)
    context["seen"] = hashlib.blake2s(newest.encode(), digest_size=8).hexdigest()
    state = render_to_string("line.html#state", context, request)
    return HttpResponse(state if request.GET.get("seen") == context["seen"] else state + newest)


@require_GET
@needs(Right.READ)
def today(request: HttpRequest) -> HttpResponse:
    """Today's figures of the page that asks."""
    model, _, _ = _meant(_asked(request))
    return render(request, "line.html#today", _figures(model))


def _page(request: HttpRequest, asked: QueryDict, *, status: int = 200, **more: Any) -> HttpResponse:
    state = _state(asked)
    context = (
        state
        | _figures(state["deployment"])
        | {"part": PartForm(initial={"station": station_of(request)})}
        | _limits()
        | more
    )
    return render(request, "line.html", context, status=status)


def _asked(request: HttpRequest) -> QueryDict:
    """What the address says. A page that asks for its parts again says where it stands by now, which htmx tells."""
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    try:
        at = htmx.current_url_abs_path if htmx else None
        return QueryDict(urlsplit(at).query) if at else request.GET
    except ValueError:  # no address at all; browsers send none like that
        return request.GET


def _meant(asked: QueryDict) -> tuple[Deployment | None, list[Deployment], Inspection | None]:
    """The model that the page is about, all those in force, and the record that is opened."""
    deployments = active_deployments()
    shown = reads.opened(asked.get("inspection", ""))
    if not deployments:
        return None, [], shown
    return reads.chosen(deployments, category=asked.get("category", ""), opened=shown), deployments, shown


def _state(asked: QueryDict) -> dict[str, Any]:
    model, deployments, shown = _meant(asked)
    wanted = asked.get("category", "")
    several = len(deployments) > 1
    return {
        "deployment": model,
        "status": selectors.traffic() | {"model": selectors.deployment_document(model) if model else None},
        "usual_time": reads.usual_time(model.model_version) if model else None,
        "categories": sorted(deployment.category.name for deployment in deployments) if several else [],
        "category": model.category if model else None,
        "unknown": wanted if wanted and (model is None or model.category.name != wanted) else "",
        "trained": bool(deployments) or ModelVersion.objects.exists(),
        "listed": f":{_LISTED}",
        "latest": reads.latest(model.category if model and several else None),
        "shown": shown,
    }


def _figures(model: Deployment | None) -> dict[str, Any]:
    return {"category": model.category, "today": reads.today(model)} if model else {}


def _limits() -> dict[str, Any]:
    return {
        "accept": ",".join(f".{extension}" for extension in settings.ALLOWED_EXTENSIONS),
        "kinds": ", ".join(extension.upper() for extension in settings.ALLOWED_EXTENSIONS if extension != "jpeg"),
        "max_megabytes": settings.MAX_FILE_SIZE // 1024**2,
        "queue_most": _QUEUE_MOST,
        "comment_most": COMMENT_MOST,
    }


def _address(category: str, inspection: Inspection) -> str:
    words = {"category": category} if category else {}
    return f"{reverse('line')}?{urlencode(words | {'inspection': str(inspection.pk)})}"


# ---------------------------------------------------------------- an image
@require_POST
@needs(Right.INSPECT)
def inspect(request: HttpRequest) -> HttpResponse:
    """Judge an uploaded image. htmx gets the verdict as a partial, a plain form the page with it opened.

    The page's script sends a `key` with each image, so that one whose answer was lost can be sent again.
    """
    file = request.FILES.get("image") or request.FILES.get("photo")
    part, category = PartForm(request.POST), request.POST.get("category", "")
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    try:
        if file is None:
            raise UserError("Choose an image first.", code="no_image")
        about = part.context()
        done = services.inspect_image(
            data=read_upload(file, actor=request.user),
            filename=file.name or "",
            source="web",
            actor=request.user,
            part=about,
            category=category,
            idempotency_key=request.POST.get("key") or None,
        )
    except UserError as error:
        context = {"error": error, "filename": file.name if file else ""}
        if not htmx:
            return _page(request, request.GET, status=error.status, part=part, **context)
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        response = render(request, "line.html#result", context)
        return trigger_client_event(response, "refused", {"filename": context["filename"], "detail": error.detail})
    if not htmx:
        return redirect(_address(category, done))
    response = render(request, "line.html#result", {"shown": done} | _limits())
    return replace_url(trigger_client_event(response, "inspected"), _address(category, done))


# ---------------------------------------------------------------- what a person says of it
@require_POST
@needs(Right.REVIEW)
def review(request: HttpRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """Confirm or overrule the verdict that is shown. htmx gets the verdict as it stands then, a plain form the page."""
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    category = request.POST.get("category", "")
    failed: UserError | None = None
    said: Review | None = None
    try:
        shown = selectors.find_inspection(inspection_id)
        said = record_review(
            inspection=shown,
            verdict=request.POST.get("verdict", ""),
            comment=request.POST.get("comment", ""),
            expected_reviews=reviews_seen(request.POST.get("expected_reviews", "")),
            actor=request.user,
        )
    except NotFound as error:
        raise Http404(error.detail) from error
    except UserError as error:
        failed = error
    shown = selectors.find_inspection(inspection_id)
    context = {"shown": shown, "failed": failed, "said": request.POST.get("comment", "") if failed else ""}
    sentence = f"{shown.filename} reviewed as {selectors.VERDICT_WORDS[said.verdict]}." if said else ""
    if htmx:
        response = render(request, "partials/verdict.html", context | _limits())
        if said:
            with_toast(trigger_client_event(response, "reviewed"), sentence, undo=[said.pk])
        return response
    if failed is None and said:
        toast_on_next_page(request, sentence, undo=[said.pk])
        return redirect(_address(category, shown))
    status = failed.status if failed else 200
    return _page(request, QueryDict(urlsplit(_address(category, shown)).query), status=status, **context)
