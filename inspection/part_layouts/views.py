"""Pages of part layouts: which views a part has, and each change of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from inspection.models import PartLayout
from inspection.part_layouts import selectors, services
from inspection.part_layouts.models import MAX_SECONDS, MIN_SECONDS
from modelzoo.models import Category
from modelzoo.selectors import find_category

_HINT = _("One view a line: name, category and, where it is not the sender's, station, separated by commas.")


class LayoutForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100, widget=forms.TextInput({"autocomplete": "off"}))
    views = forms.CharField(
        label=_("Views"), help_text=_HINT, widget=forms.Textarea({"rows": 5, "spellcheck": "false"})
    )
    time_limit_seconds = forms.IntegerField(
        label=_("Time limit, seconds from the first view"), min_value=MIN_SECONDS, max_value=MAX_SECONDS
    )
    reason = forms.CharField(
        label=_("Why? Kept in the audit log."), max_length=500, widget=forms.TextInput({"autocomplete": "off"})
    )


@require_GET
@needs(Right.READ)
def part_layouts(request: HttpRequest) -> HttpResponse:
    return _list(request, LayoutForm())


@require_GET
@needs(Right.READ)
def part_layout(request: HttpRequest, name: str) -> HttpResponse:
    return _one(request, _revisions(name))


@require_POST
@needs(Right.TUNE)
def set_layout(request: HttpRequest) -> HttpResponse:
    """A new layout, or a new revision of one."""
    form = LayoutForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    fields = form.cleaned_data
    try:
        layout = services.set_layout(
            name=fields["name"],
            views=_views(fields["views"]),
            time_limit_seconds=fields["time_limit_seconds"],
            reason=fields["reason"],
            actor=request.user,
        )
    except UserError as error:
        return _list(request, form, failed=error, status=error.status)
    messages.success(
        request,
        _("Part layout %(name)s, revision %(revision)s, is in force.")
        % {"name": layout.name, "revision": layout.revision},
    )
    return redirect("part-layout", name=layout.name)


@require_POST
@needs(Right.TUNE)
def retire(request: HttpRequest, name: str) -> HttpResponse:
    rows = _revisions(name)
    try:
        services.retire_layout(name=name, reason=request.POST.get("reason", ""), actor=request.user)
    except UserError as error:
        return _one(request, rows, failed=error, status=error.status)
    messages.success(request, _("Part layout %(name)s is retired.") % {"name": name})
    return redirect("part-layouts")


def _views(text: str) -> list[services.ViewPlan]:
    """Views from a text with one in a line: name, category, station. Raises `UserError`."""
    views = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, *others = [word.strip() for word in line.split(",")]
        if not 1 <= len(others) <= 2:
            raise UserError(
                f"A view needs a name and a category, separated by a comma. This is none: {line[:80]!r}. Nothing was "
                "saved.",
                code="invalid",
            )
        views.append(services.ViewPlan(name, find_category(others[0]), others[1] if len(others) > 1 else ""))
    return views


def _as_text(layout: PartLayout) -> str:
    views = sorted(layout.views.all(), key=lambda view: view.position)
    return "\n".join(", ".join(filter(None, (view.name, view.category.name, view.station))) for view in views)


def _list(
    request: HttpRequest, form: LayoutForm, *, failed: UserError | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "layouts": list(selectors.layouts(retired=True)),
        "form": form,
        "failed": failed,
        "categories": list(Category.objects.order_by("name").values_list("name", flat=True)),
    }
    return render(request, "parts/layouts.html", context, status=status)


def _one(
    request: HttpRequest, revisions: list[PartLayout], *, failed: UserError | None = None, status: int = 200
) -> HttpResponse:
    current = revisions[0]
    initial: dict[str, Any] = {
        "name": current.name,
        "views": _as_text(current),
        "time_limit_seconds": current.time_limit_seconds,
    }
    context = {"layout": current, "revisions": revisions, "form": LayoutForm(initial=initial), "failed": failed}
    return render(request, "parts/layout.html", context, status=status)


def _revisions(name: str) -> list[PartLayout]:
    """Newest first."""
    revisions = list(selectors.revisions_of(name))
    if not revisions:
        raise Http404(_("There is no part layout of this name."))
    return revisions
