"""The page of one record: its image and map, what was in force, what people say of it, what happened to it."""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.toasts import toast_on_next_page, with_toast
from inspection.history import pages
from inspection.history.pages import Query
from inspection.models import Inspection
from inspection.record import pages as record_pages
from inspection.record import similar as similar_records
from inspection.record.certificate import make_certificate
from inspection.reviews.services import record_review
from inspection.reviews.words import reviewed_as, verdict_in_words
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act


@require_GET
@needs(Right.READ)
def inspection(request: HttpRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """The permanent page of one record; the address may say among which others it is looked at."""
    return render(request, "record/one.html", _context(request, _inspection_or_404(inspection_id)))


@require_POST
@needs(Right.REVIEW)
def review(request: HtmxRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """Say what the part is. htmx gets what changed on the page, a plain form the page again."""
    inspection = _inspection_or_404(inspection_id)
    values = {name: request.POST.get(name, "") for name in ("verdict", "defect_type", "comment", "regions")}
    try:
        signature = form_signature(request, act=Act.REVIEW, about=inspection)
        new_review = record_review(
            inspection=inspection,
            verdict=values["verdict"],
            defect_type=values["defect_type"],
            comment=values["comment"],
            regions=_parse_regions(values["regions"]),
            expected_reviews=parse_expected_reviews(request.POST.get("expected_reviews", "")),
            actor=request.user,
            signature=signature,
        )
    except UserError as error:
        context = _context(request, _inspection_or_404(inspection_id)) | {"failed": error, "given": values}
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        if request.htmx:
            return render(request, "record/one.html#said", context)
        return render(request, "record/one.html", context, status=error.status)
    sentence = reviewed_as(inspection.path_or_name, new_review.verdict)
    context = _context(request, _inspection_or_404(inspection_id))
    moves_on = request.POST.get("then") == "next" and context["older"]
    address = f"{reverse('inspection', args=[context['older'] if moves_on else inspection.pk])}{context['suffix']}"
    undo = [] if signature else [new_review.pk]  # what was signed is not undone by a click
    if not request.htmx:
        toast_on_next_page(request, sentence, undo=undo)
        return redirect(address if moves_on else f"{address}#reviews")
    if moves_on:
        toast_on_next_page(request, sentence, undo=undo)
        return HttpResponseClientRedirect(address)
    response = with_toast(render(request, "record/one.html#said", context), sentence, undo=undo)
    return trigger_client_event(response, "reviewed")


@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.READ)
def similar(request: HtmxRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """Parts like this one: asked for by the page when it is there, or a page of its own."""
    inspection = _inspection_or_404(inspection_id)
    context = {
        "shown": inspection,
        "similar": similar_records.similar(inspection),
        "nearest": similar_records.NEAREST,
        "blocks": similar_records.BLOCKS,
        "least": similar_records.MIN_LIKENESS,
    }
    page = "record/similar.html#similar" if request.htmx else "record/similar.html"
    return render(request, page, context)


@require_GET
@needs(Right.READ)
def certificate(request: HttpRequest, inspection_id: uuid.UUID) -> HttpResponse:
    """The record as a document to print or to send along with the part."""
    pdf = make_certificate(inspection=_inspection_or_404(inspection_id), actor=request.user)
    disposition = f'inline; filename="certificate-{inspection_id}.pdf"'
    headers = {"Content-Disposition": disposition, "Cache-Control": "private, no-store"}
    return HttpResponse(pdf, content_type="application/pdf", headers=headers)


def _inspection_or_404(inspection_id: uuid.UUID) -> Inspection:
    try:
        return record_pages.open_record(inspection_id)
    except NotFound as error:
        raise Http404(error.detail) from error


def _context(request: HttpRequest, inspection: Inspection) -> dict[str, Any]:
    query = Query.of(request.GET)
    filters, wrong = pages.read_filters(request.GET)
    # Whoever mistyped a filter is not led on among other records than those that were meant.
    newer, older = (None, None) if wrong else record_pages.neighbours(inspection, filters, query.order or "newest")
    reviews = record_pages.reviews_of(inspection)
    timings, total = record_pages.steps(inspection)
    context = {
        "shown": inspection,
        "title": f"{verdict_in_words(inspection)} · {inspection.path_or_name}",
        "suffix": query.suffix,
        "by_time": not query.order,
        "filtered": bool(query.pairs),
        "wrong": list(wrong.values()),
        "newer": newer,
        "older": older,
        "chart": record_pages.score_chart(inspection),
        "region_rows": record_pages.places(inspection),
        "timings": timings,
        "total_ms": total,
        "reviews": reviews,
        "said_regions": record_pages.marked_regions(reviews),
        "life": record_pages.life(inspection, reviews),
        "same_part": record_pages.same_part(inspection),
        "part_view": record_pages.part_view_of(inspection),
        "removal": record_pages.removal(inspection),
    }
    if may(request.user, Right.REVIEW):
        context["defect_types"] = pages.defect_types()
    if may(request.user, Right.AUDIT):
        context["events"] = record_pages.events_of(inspection, reviews)
    return context


def parse_expected_reviews(text: str) -> int | None:
    """How many reviews there were when the reviewer looked."""
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise UserError("expected_reviews must be a whole number. Nothing was written.", code="invalid_review")
    return int(text) if text else None


def _parse_regions(text: str) -> list[dict[str, int]]:
    """Boxes from a text with one in a line: x, y, width, height."""
    boxes = []
    for line in text.splitlines():
        numbers = re.split(r"[\s,;]+", line.strip())
        if numbers == [""]:
            continue
        if len(numbers) != 4 or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
            raise UserError(
                f"A box needs four whole numbers in a line: x, y, width, height. This is not a box: {line[:80]!r}. "
                "Nothing was saved.",
                code="invalid_region",
                status=HTTPStatus.BAD_REQUEST,
            )
        boxes.append(dict(zip(("x", "y", "width", "height"), map(int, numbers), strict=True)))
    return boxes
