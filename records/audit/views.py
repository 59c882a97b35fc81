"""The audit history: who did what, when and from where, what it changed, and whether the chain holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any

from django import forms
from django.apps import apps
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from common.api.pagination import read_page
from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.addresses import query_string
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.refusals import refusal_html
from records.audit import selectors
from records.audit.chain.outside import places_outside
from records.audit.sentences import Sentence, names_in, names_of, pointed_to, sentence_of
from records.audit.verification import request_verification
from records.keys import short_key
from records.models import AuditEvent

VERIFIED_AT_ONCE = 1000
_MAX_VERIFICATIONS = 3
_CHANGES = 5  # of one event in the list; the rest stands on its page
_MAX_LENGTH = 80  # characters of one value in the list
_HASH = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The page of an object, by its type; the others have none.
_PAGES = {
    "inspection.inspection": "inspection",
    "inspection.batchrun": "batch-page",
    "inspection.partinspection": "part",
    "modelzoo.modelversion": "model",
    "training.trainingrun": "run",
    "training.dataset": "dataset",
    "records.auditcheckpoint": "api-audit-checkpoint",
    "records.auditverification": "audit-verification",
}
_ADMIN_PAGES = {"auth.user": "admin:auth_user_change", "accounts.apitoken": "admin:accounts_apitoken_change"}
_PERIODS = ((0, _("Today")), (6, _("7 days")), (29, _("30 days")))


# ---------------------------------------------------------------- filters
def _text(label: Any, **attributes: str) -> forms.CharField:
    widget = forms.TextInput({"autocomplete": "off", "spellcheck": "false", **attributes})
    return forms.CharField(label=label, required=False, max_length=150, widget=widget)


def _day(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("Write a day as 2026-11-24.")},
    )


class AuditFilterForm(forms.Form):
    """What the address asks for. Days are whole days, `until` included."""

    actor = _text(_("Who"), list="actors")
    kind = _text(_("What"), list="kinds", placeholder="threshold.set")
    object_type = _text(_("Kind of object"), list="object_types")
    object_id = _text(_("Object"))
    source = forms.CharField(label=_("Source"), required=False, max_length=16, widget=forms.Select)
    since = _day(_("From"))
    until = _day(_("Until"))
    request_id = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, data: Any, sources: list[str]) -> None:
        super().__init__(data)
        words = list(dict.fromkeys([*sources, *filter(None, [data.get("source", "")])]))
        self.fields["source"].widget.choices = [("", _("any")), *((word, word) for word in words)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("object_id") and not cleaned.get("object_type"):
            self.add_error("object_type", _("An object number needs its kind, because numbers repeat between kinds."))
        self.filters: dict[str, Any] = {name: cleaned.get(name, "") for name in self.fields}
        for name, later in (("since", 0), ("until", 1)):
            try:
                self.filters[name] = _begin_of(cleaned.get(name), later=later)
            except OverflowError:
                self.add_error(name, _("This date is too far away."))
        return cleaned


def _begin_of(day: date | None, *, later: int = 0) -> datetime | None:
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(day + timedelta(days=later), time.min)).astimezone(UTC)


# ---------------------------------------------------------------- one event as it is shown
@dataclass(frozen=True)
class FieldChange:
    """A value that changed, in words; None where there was none."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class EventRow:
    """An event with what it changed, and the page of what it changed."""

    event: AuditEvent
    sentence: Sentence
    subject: str  # its object, in words
    changes: list[FieldChange]
    more: int
    address: str
    subject_key: tuple[str, str]  # type and id of the object whose history it is of: of a review its inspection


def _event_rows(events: Sequence[AuditEvent], *, someone: Any) -> list[EventRow]:
    names = names_in(events)
    return [_event_row(event, names, someone=someone) for event in events]


def _event_row(
    event: AuditEvent, names: Mapping[tuple[str, str], str], *, someone: Any, in_full: bool = False
) -> EventRow:
    before, after = json.loads(event.before), json.loads(event.after)
    changes = [_change(change, names, in_full=in_full) for change in selectors.changes_of(before, after)]
    visible = changes if in_full else changes[:_CHANGES]
    subject_key = _subject_key(event, after)
    sentence, subject = sentence_of(event, names), names.get(subject_key, _subject(*subject_key))
    address = _address_of(*subject_key, someone)
    return EventRow(event, sentence, subject, visible, len(changes) - len(visible), address, subject_key)


def _subject_key(event: AuditEvent, after: Any) -> tuple[str, str]:
    """Type and id of what an event is about, for people: of a review it is the inspection that was reviewed."""
    if event.object_type == "inspection.review" and isinstance(after, dict) and after.get("inspection"):
        return "inspection.inspection", str(after["inspection"])
    return event.object_type, event.object_id


def _change(change: dict[str, Any], names: Mapping[tuple[str, str], str], *, in_full: bool) -> FieldChange:
    before, after = (_words(change[side], in_full=in_full) for side in ("before", "after"))
    if before == after:  # they differ in what was cut off
        before, after = (_words(change[side], in_full=True) for side in ("before", "after"))

    def with_name(side: str, words: str | None) -> str | None:
        reference = pointed_to(change["field"], change[side])
        return f"{words} = {names[reference]}" if reference and reference in names else words

    return FieldChange(change["field"] or "value", with_name("before", before), with_name("after", after))


def _subject(object_type: str, object_id: str) -> str:
    """The object as people call it; kinds of objects that are no longer there keep their name of then."""
    try:
        name = str(apps.get_model(object_type)._meta.verbose_name)
    except (LookupError, ValueError):
        name = object_type
    return f"{name} {short_key(object_id) if _UUID.fullmatch(object_id) else object_id}".strip()


def _words(value: Any, *, in_full: bool) -> str | None:
    if value is None:
        return None
    if value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not in_full and isinstance(value, str) and _HASH.fullmatch(value):
        return f"{value[:12]}…"
    if not in_full and isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2 if in_full else None)
    return text if in_full or len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def _address_of(object_type: str, object_id: str, someone: Any) -> str:
    name = _PAGES.get(object_type)
    if name is None and may(someone, Right.ADMINISTER):
        name = _ADMIN_PAGES.get(object_type)
    try:
        return reverse(name, args=[object_id]) if name else ""
    except NoReverseMatch:  # what could not be named when it happened has no page
        return ""


# ---------------------------------------------------------------- pages
@require_GET
@needs(Right.AUDIT, hidden=True)
def history(request: HttpRequest) -> HttpResponse:
    """Events that the address asks for, newest first, and where the chain stands."""
    form = AuditFilterForm(request.GET, selectors.values_of("source"))
    context: dict[str, Any] = {
        "form": form,
        "chain": _chain(),
        "verified_at_once": VERIFIED_AT_ONCE,
        "verifications": selectors.verifications(_MAX_VERIFICATIONS),
        "replay": selectors.last_replay(),
        "kinds": selectors.values_of("kind"),
        "object_types": selectors.values_of("object_type"),
        "actors": selectors.values_of("actor_name"),
        "periods": [_period(request, days, words) for days, words in _PERIODS],
        "own": request.user.get_username(),
    }
    context["opened"] = not form.is_valid() or any(value for name, value in form.filters.items() if name != "since")
    if not form.is_valid():
        return render(request, "audit/list.html", context, status=HTTPStatus.BAD_REQUEST)
    filters = form.filters
    object_names = names_of([(filters["object_type"], filters["object_id"])])
    context["chips"] = [
        (form.fields[name].label or _("Request"), _chip(name, value, object_names), _without(request, name))
        for name in form.fields
        if (value := request.GET.get(name, ""))
    ]
    # A period is found through the index on time, whose order is that of the chain but for a clock set back.
    ordering = ("-at", "-sequence") if filters["since"] or filters["until"] else ("-sequence",)
    try:
        page = read_page(selectors.filter_events(**filters), request, ordering=ordering)
    except UserError as error:
        return render(request, "audit/list.html", context | {"lost": error}, status=error.status)
    context |= {
        "rows": _event_rows(page.rows, someone=request.user),
        "page": page,
        "export": _export(filters),
    }
    return render(request, "audit/list.html", context)


def _chip(name: str, value: str, object_names: Mapping[tuple[str, str], str]) -> str:
    """The value of a filter in words: of an object its number with what it is called."""
    return f"{value} ({next(iter(object_names.values()))})" if name == "object_id" and object_names else value


def _chain() -> dict[str, Any]:
    """Where the chain stands, or why that cannot be said: a key that cannot be read shall not hide the history."""
    try:
        return {"outside": places_outside(), "state": selectors.chain_state()}
    except UserError as error:
        return {"error": refusal_html(error)}


def _period(request: HttpRequest, days: int, words: Any) -> dict[str, Any]:
    since = (timezone.localdate() - timedelta(days=days)).isoformat()
    on = request.GET.get("since") == since and not request.GET.get("until")
    params = request.GET.copy()
    for name in ("since", "until", "cursor"):
        params.pop(name, None)
    if not on:
        params["since"] = since
    return {"words": words, "on": on, "address": f"?{params.urlencode()}"}


def _without(request: HttpRequest, name: str) -> str:
    params = request.GET.copy()
    for key in (name, "cursor", *(["object_id"] if name == "object_type" else [])):
        params.pop(key, None)
    return f"?{params.urlencode()}"


def _export(filters: dict[str, Any]) -> str:
    words = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()}
    return reverse("api-audit-export") + query_string(words)


@require_GET
@needs(Right.AUDIT, hidden=True)
def event(request: HttpRequest, sequence: int) -> HttpResponse:
    """One event, whole, with its place in the chain."""
    try:
        audit_event = selectors.find_event(sequence)
    except NotFound as error:
        raise Http404 from error
    context = {
        "row": _event_row(audit_event, names_in([audit_event]), someone=request.user, in_full=True),
        "genuine": audit_event.computed_hash() == audit_event.hash,
        "follows": AuditEvent.objects.filter(sequence=sequence + 1).exists(),
    }
    return render(request, "audit/one.html", context)


@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.AUDIT, hidden=True)
def verify(request: HtmxRequest) -> HttpResponse:
    """The newest events recomputed, now: a partial for htmx, a page of its own otherwise."""
    context: dict[str, Any] = {"asked": VERIFIED_AT_ONCE, "at": timezone.now()}
    try:
        context["report"] = selectors.verify_latest(VERIFIED_AT_ONCE)
    except UserError as error:
        context["error"] = refusal_html(error)
    page = "audit/verified.html#verified" if request.htmx else "audit/verified.html"
    return render(request, page, context)


@require_POST
@needs(Right.AUDIT, hidden=True)
def verify_all(request: HttpRequest) -> HttpResponse:
    """Have a worker verify the whole log; the page of that shows how far it is, and later what was found."""
    verification, _ = request_verification(actor=request.user)
    return redirect("audit-verification", verification.pk)


@require_GET
@vary_on_headers("HX-Request")
@needs(Right.AUDIT, hidden=True)
def verification(request: HtmxRequest, verification_id: int) -> HttpResponse:
    """A verification of the whole log: a partial for htmx while it runs, a page otherwise."""
    try:
        row = selectors.find_verification(verification_id)
    except NotFound as error:
        raise Http404 from error
    page = "audit/verification.html#live" if request.htmx else "audit/verification.html"
    return render(request, page, {"verification": row})
