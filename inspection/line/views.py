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
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from accounts.middleware import is_from_script
from common.api.requests import check_one_image
from common.errors import NotFilledIn, NotFound, UserError
from common.pixels.budget import budget
from common.rights import Right, may
from common.web.browser import CATEGORY, category_of, keep_in_browser, station_of
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.toasts import toast_on_next_page, with_toast
from inspection.history import pages
from inspection.judging import selectors, services, status
from inspection.judging.api import read_upload
from inspection.line import pages as line_pages
from inspection.models import Inspection, Review
from inspection.record.views import parse_expected_reviews
from inspection.reviews.services import MAX_COMMENT_LENGTH, record_review
from inspection.reviews.words import reviewed_as
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import active_canaries, active_deployments
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act, Signature
from records.assets.images import pixels_to_decode
from records.assets.selectors import accepted_files, allowed_formats, upload_limits

# More images than that at once are a batch.
_MAX_QUEUE = 50
# Of the newest records so many with their pictures; of the others their shapes.
_LISTED = 14


class PartForm(forms.Form):
    """What is known of the part, all of it optional."""

    station = forms.CharField(required=False, max_length=100, label=_("Station"))
    lot = forms.CharField(required=False, max_length=100, label=_("Lot"))
    part_number = forms.CharField(required=False, max_length=100, label=_("Part number"))
    serial_number = forms.CharField(required=False, max_length=100, label=_("Serial number"))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.label_suffix = ""

    def context(self) -> services.PartContext:
        """Raises `UserError` with the first thing that is wrong."""
        if not self.is_valid():
            name, errors = next(iter(self.errors.items()))
            sentence = str(_("%(field)s: %(error)s The image was not kept."))
            raise NotFilledIn(sentence % {"field": self[name].label, "error": errors[0]}, code="invalid")
        return services.PartContext(**self.cleaned_data)


# ---------------------------------------------------------------- the page and its parts
@require_GET
@vary_on_headers(
    "HX-Request", "X-Requested-With"
)  # else a browser that goes back shows the part that a script asked for
@needs(Right.READ)
def line(request: HttpRequest) -> HttpResponse:
    """The whole page: `?category=` chooses the line, `?inspection=` opens a record. Scripts get what is opened alone.

    A category that is chosen without opening a record is this browser's from then on.
    """
    if is_from_script(request):
        return _record_panel(request)
    response = _page(request, request.GET)
    named = request.GET.get("category", "")
    if named and "inspection" not in request.GET and any(d.category.name == named for d in active_deployments()):
        keep_in_browser(request, response, **{CATEGORY: named})
    return response


def _record_panel(request: HttpRequest) -> HttpResponse:
    """The record that the address names, or what stands there where it names none."""
    if "inspection" not in request.GET:
        return render(request, "line/page.html#result", _state(request, request.GET))
    inspection = line_pages.find_inspection_or_none(request.GET["inspection"])
    if inspection is None:
        raise Http404("There is no such record.")
    return render(request, "line/page.html#result", _record_context(inspection))


def _record_context(inspection: Inspection | None) -> dict[str, Any]:
    """What the panel says of a record."""
    if inspection is None:
        return {"shown": None} | _limits()
    category = inspection.model_version.category.name
    earlier = line_pages.same_image_before(inspection)
    return {
        "shown": inspection,
        "address": _address(category, inspection),
        "same_image": earlier,
        "same_image_address": _address(category, earlier) if earlier else "",
    } | _limits()


@require_GET
@needs(Right.READ)
def line_status(request: HtmxRequest) -> HttpResponse:
    """State and newest records of the page that asks, the latter only if they look different from those it `seen`."""
    context = _state(request, _address_query(request))
    newest = render_to_string("line/page.html#latest", context, request)
    context["seen"] = hashlib.blake2s(newest.encode(), digest_size=8).hexdigest()
    state = render_to_string("line/page.html#state", context, request)
    return HttpResponse(state if request.GET.get("seen") == context["seen"] else state + newest)


@require_GET
@needs(Right.READ)
def today(request: HtmxRequest) -> HttpResponse:
    """Today's figures of the page that asks."""
    model = _context(request, _address_query(request))[0]
    return render(request, "line/page.html#today", _figures(model))


def _page(request: HttpRequest, query: QueryDict, *, status: int = 200, **more: Any) -> HttpResponse:
    state = _state(request, query)
    context = (
        state
        | _figures(state["deployment"])
        | {"part": PartForm(initial={"station": station_of(request)})}
        | _record_context(state["shown"])
        | more
    )
    return render(request, "line/page.html", context, status=status)


def _address_query(request: HtmxRequest) -> QueryDict:
    """What the address says. A page that asks for its parts again says where it stands by now, which htmx tells.

    The category that it says itself is the one it was made for: that is its own as long as it stands there.
    """
    htmx = request.htmx
    try:
        at = htmx.current_url_abs_path if htmx else None
        query = QueryDict(urlsplit(at).query, mutable=True) if at else request.GET.copy()
    except ValueError:  # no address at all; browsers send none like that
        query = request.GET.copy()
    if category := request.GET.get("category"):
        query["category"] = category
    return query


def _context(request: HttpRequest, query: QueryDict) -> tuple[Deployment | None, list[Deployment], Inspection | None]:
    """The model that the page is about, all those in force, and the record that is opened."""
    deployments = active_deployments()
    inspection = line_pages.find_inspection_or_none(query.get("inspection", ""))
    named = query.get("category", "")
    model = line_pages.choose_deployment(deployments, named=named, remembered=category_of(request), opened=inspection)
    return model, deployments, inspection


def _state(request: HttpRequest, query: QueryDict) -> dict[str, Any]:
    model, deployments, inspection = _context(request, query)
    requested = query.get("category", "") or category_of(request)
    several = len(deployments) > 1
    return {
        "deployment": model,
        "status": status.traffic() | {"model": status.deployment_document(model) if model else None},
        "silent": line_pages.silent_for(),
        "median_time": line_pages.median_time(model.model_version) if model else None,
        "canaries": active_canaries(category_id=model.category_id) if model else [],
        "categories": sorted(d.category.name for d in deployments) if several or model is None else [],
        "category": model.category if model else None,
        "unknown": requested if deployments and model is None else "",
        "trained": bool(deployments) or ModelVersion.objects.exists(),
        "listed": f":{_LISTED}",
        "latest": line_pages.latest(model.category if model and several else None),
        "shown": inspection,
        "unjudged": line_pages.unjudged(model.category, request.user)
        if model and may(request.user, Right.INSPECT)
        else [],
    }


def _figures(model: Deployment | None) -> dict[str, Any]:
    return {"category": model.category, "today": line_pages.today(model)} if model else {}


def _limits() -> dict[str, Any]:
    return {
        "accept": accepted_files(),
        "kinds": ", ".join(allowed_formats()),
        "max_megabytes": settings.MAX_FILE_SIZE // 1024**2,
        "queue_most": _MAX_QUEUE,
        "comment_most": MAX_COMMENT_LENGTH,
        "defect_types": pages.defect_types,  # asked for where somebody may review
    }


def _address(category: str, inspection: Inspection) -> str:
    return f"{reverse('line')}?{urlencode({'category': category, 'inspection': str(inspection.pk)})}"


# ---------------------------------------------------------------- an image
@require_POST
@needs(Right.INSPECT)
def inspect(request: HttpRequest) -> HttpResponse:
    """Judge an uploaded image. A script gets the verdict as a partial, a plain form the page with it opened.

    The page's script sends a `key` with each image, so that one whose answer was lost can be sent again. The category
    that an image was sent for is the browser's from then on.
    """
    file = request.FILES.get("image") or request.FILES.get("photo")
    part, category = PartForm(request.POST), request.POST.get("category", "")
    try:
        check_one_image(request.FILES)
        if file is None:
            raise NotFilledIn(str(_("Choose an image first.")), code="no_image")
        about = part.context()
        data = read_upload(file, actor=request.user)
        with budget().hold(pixels_to_decode(data, upload_limits()), caller=f"user-{request.user.pk}"):
            inspection = services.inspect_image(
                data=data,
                submission=services.Submission(
                    filename=file.name or "",
                    source="web",
                    actor=request.user,
                    part=about,
                    idempotency_key=request.POST.get("key") or None,
                ),
                category=category,
            )
    except UserError as error:
        return _error_page(request, error, filename=(file.name or "") if file else "", part=part)
    return _result_page(request, inspection)


def _result_page(request: HttpRequest, inspection: Inspection) -> HttpResponse:
    """The verdict, and for a script the list of the newest records with it, so that both show the same part."""
    category = inspection.model_version.category.name
    if not is_from_script(request):
        response: HttpResponse = redirect(_address(category, inspection))
    else:
        state = _state(request, QueryDict(urlsplit(_address(category, inspection)).query)) | {"shown": inspection}
        result = render_to_string("line/page.html#result", state | _record_context(inspection), request)
        response = HttpResponse(result + render_to_string("line/page.html#latest", state, request))
    keep_in_browser(request, response, **{CATEGORY: category})
    return response


@require_POST
@needs(Right.INSPECT)
def judge_again(request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
    """Have the kept image of a request that ended without a record judged now. It gets one record, however often."""
    filename = ""
    try:
        filename = selectors.find_request(request_id, actor=request.user).filename
        inspection = services.inspect_again(request_id=request_id, source="web", actor=request.user)
    except UserError as error:
        return _error_page(request, error, filename=filename)
    return _result_page(request, inspection)


def _error_page(request: HttpRequest, error: UserError, *, filename: str, **more: Any) -> HttpResponse:
    """What happened, what was kept and what to do next: Try again, where the image was kept and has no record."""
    again = "repeat_url" in error.extra and reverse("line-judge-again", args=[error.extra["request_id"]])
    context = {"error": error, "filename": filename, "shown": None, "again": again} | more
    if is_from_script(request):
        # Whether it was recorded is not known: the script asks again with the same key. Else the answer is 200 like a
        # verdict, and the panel itself says that there is none.
        status = error.status if isinstance(error, services.OutcomeUnknown | services.NothingRecorded) else 200
        return render(request, "line/page.html#result", context, status=status)
    query = QueryDict(mutable=True)
    query["category"] = request.POST.get("category", "")
    return _page(request, query, status=error.status, **context)


# ---------------------------------------------------------------- what a person says of it
@require_POST
@needs(Right.REVIEW)
def review(request: HtmxRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """Confirm or overrule the verdict that is shown. htmx gets the verdict as it stands then, a plain form the page."""
    htmx = request.htmx
    values = {name: request.POST.get(name, "") for name in ("defect_type", "comment")}
    failed: UserError | None = None
    new_review: Review | None = None
    signature: Signature | None = None
    try:
        inspection = selectors.find_inspection(inspection_id)
        signature = form_signature(request, act=Act.REVIEW, about=inspection)
        new_review = record_review(
            inspection=inspection,
            verdict=request.POST.get("verdict", ""),
            defect_type=values["defect_type"],
            comment=values["comment"],
            expected_reviews=parse_expected_reviews(request.POST.get("expected_reviews", "")),
            actor=request.user,
            signature=signature,
        )
    except NotFound as error:
        raise Http404(error.detail) from error
    except UserError as error:
        failed = error
    inspection = selectors.find_inspection(inspection_id)
    context = {"failed": failed, "said": values if failed else None}
    sentence = reviewed_as(inspection.path_or_name, new_review.verdict) if new_review else ""
    undo = [new_review.pk] if new_review and not signature else []  # what was signed is not undone by a click
    address = _address(inspection.model_version.category.name, inspection)
    if htmx:
        # With the list, so that both say the same of the part.
        listed = _state(request, _address_query(request)) | {"oob": True}
        verdict = render_to_string("partials/verdict.html", _record_context(inspection) | context, request)
        response = HttpResponse(verdict + render_to_string("line/page.html#latest", listed, request))
        if new_review:
            trigger_client_event(response, "stands", {"records": {str(inspection.pk): inspection.standing_verdict}})
            with_toast(trigger_client_event(response, "reviewed"), sentence, undo=undo)
        return response
    if failed is None and new_review:
        toast_on_next_page(request, sentence, undo=undo)
        return redirect(address)
    status = failed.status if failed else 200
    return _page(request, QueryDict(urlsplit(address).query), status=status, **context)
