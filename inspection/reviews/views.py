"""Undo of reviews, from the toast that tells of them on every page."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.refusals import refusal_text
from common.web.toasts import toast_on_next_page, with_toast
from inspection.judging.selectors import find_inspection
from inspection.models import Review
from inspection.reviews import selectors
from inspection.reviews.services import undo_reviews
from inspection.reviews.words import verdict_in_words

# Ids of records that one header holds; of more, pages are told that there are many and load anew.
_MAX_NAMED = 40


@require_POST
@needs(Right.REVIEW)
def undo(request: HtmxRequest) -> HttpResponse:
    """Take the named reviews back. htmx gets a toast and the event `undone`, a plain form the page that it names."""
    try:
        done = undo_reviews(reviews=selectors.find_reviews_by_id(request.POST.getlist("review")), actor=request.user)
    except UserError as error:
        sentence = _("Not undone: %(reason)s") % {"reason": refusal_text(error)}
        if request.htmx:
            return with_toast(HttpResponse(status=204), sentence)
        messages.error(request, sentence)
        return redirect(_next(request))
    sentence, ids = _in_words(done), [review.pk for review in done]
    if not request.htmx:
        toast_on_next_page(request, sentence, undo=ids)
        return redirect(_next(request))
    response = with_toast(HttpResponse(status=204), sentence, undo=ids)
    records = [str(review.inspection_id) for review in done]
    named = done[:_MAX_NAMED]
    verdicts = {str(review.inspection_id): find_inspection(review.inspection_id).standing_verdict for review in named}
    trigger_client_event(response, "stands", {"records": verdicts})
    trigger_client_event(response, "undone", {"inspections": records if len(records) <= _MAX_NAMED else None})
    return trigger_client_event(response, "reviewed")


def _in_words(done: Sequence[Review]) -> str:
    if len(done) > 1:
        return _("%(n)s reviews undone.") % {"n": len(done)}
    record = find_inspection(done[0].inspection_id)
    if not hasattr(record, "standing"):
        return _("Undone: %(name)s is not reviewed.") % {"name": record.path_or_name}
    shown = {"name": record.path_or_name, "verdict": verdict_in_words(record)}
    return _("Undone: %(name)s is %(verdict)s again.") % shown


def _next(request: HttpRequest) -> str:
    address = request.POST.get("next", "")
    return address if url_has_allowed_host_and_scheme(address, allowed_hosts=None) else "history"
