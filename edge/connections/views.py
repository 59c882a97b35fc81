"""Pages of connections: all of them with how they are, one, and the form for another one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.web.decorators import needs, refusal
from edge.connections import pages, selectors, services
from edge.connections.forms import ConnectionForm, SecretForm
from edge.connections.models import Connection
from edge.connections.registry import KINDS
from edge.deliveries import services as deliveries
from edge.deliveries.models import Delivery


@require_GET
@needs(Right.READ)
def connections(request: HttpRequest) -> HttpResponse:
    rows = [pages.row_of(connection) for connection in selectors.connections()]
    return render(request, "edge/connections.html", {"rows": rows, "kinds": KINDS.values()})


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.CONNECT)
def new(request: HttpRequest) -> HttpResponse:
    """`?kind=`: of which kind."""
    kind = KINDS.get(request.GET.get("kind", ""))
    if kind is None:
        raise Http404("There is no such kind of connection.")
    form = ConnectionForm(request.POST or None, kind=kind)
    failed: UserError | None = None
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_connection(kind=kind.name, actor=request.user, **form.values())
        except UserError as error:
            failed = error
        else:
            messages.success(request, _("The connection is opened within seconds."))
            return redirect("connection", made.pk)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if request.method == "POST" else HTTPStatus.OK
    context = {"form": form, "kind": kind, "failed": failed}
    return render(request, "edge/new.html", context, status=failed.status if failed else status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
def connection(request: HttpRequest, connection_id: int) -> HttpResponse:
    found = _find(connection_id)
    if request.method != "POST":
        return _page(request, found)
    if not may(request.user, Right.CONNECT):
        return refusal(request, Right.CONNECT)
    return _change(request, found)


def _change(request: HttpRequest, found: Connection) -> HttpResponse:
    kind = selectors.kind_of(found)
    if kind is None:
        raise BadRequest("This version knows no such kind of connection.")
    form = ConnectionForm(request.POST, kind=kind, connection=found)
    if not form.is_valid():
        return _page(request, found, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return _act(
        request,
        found,
        lambda: services.change_connection(connection=found, changes=form.values(), actor=request.user),
        form=form,
    )


@require_POST
@needs(Right.CONNECT)
def secret(request: HttpRequest, connection_id: int) -> HttpResponse:
    found = _find(connection_id)
    name, value = request.POST.get("name", ""), request.POST.get("value", "")
    return _act(
        request,
        found,
        lambda: services.set_secret(connection=found, name=name, value=value, actor=request.user),
    )


@require_POST
@needs(Right.CONNECT)
def end_secrets(request: HttpRequest, connection_id: int) -> HttpResponse:
    found = _find(connection_id)
    name = request.POST.get("name", "")
    return _act(request, found, lambda: services.end_old_secrets(connection=found, name=name, actor=request.user))


@require_POST
@needs(Right.CONNECT)
def resend(request: HttpRequest, connection_id: int) -> HttpResponse:
    """All dead letters, or the one that `delivery` names."""
    found = _find(connection_id)
    delivery_id = request.POST.get("delivery", "")

    def act() -> str:
        number = 1
        if delivery_id:
            deliveries.resend(delivery=_letter(found, delivery_id), actor=request.user)
        else:
            number = deliveries.resend_all(connection=found, actor=request.user)
        return ngettext("One dead letter is sent again.", "%(n)d dead letters are sent again.", number) % {"n": number}

    return _act(request, found, act)


def _letter(found: Connection, delivery_id: str) -> Delivery:
    try:
        delivery = selectors.find_delivery(uuid.UUID(delivery_id))
    except (ValueError, NotFound) as error:
        raise Http404("There is no such delivery.") from error
    if delivery.lane.connection_id != found.pk:
        raise Http404("It is no delivery of this connection.")
    return delivery


def _act(
    request: HttpRequest, found: Connection, act: Callable[[], object], *, form: ConnectionForm | None = None
) -> HttpResponse:
    try:
        said = act()
    except UserError as error:
        return _page(request, found, form=form, failed=error, status=error.status)
    messages.success(request, said if isinstance(said, str) else _("Saved."))
    return redirect("connection", found.pk)


def _page(
    request: HttpRequest,
    found: Connection,
    *,
    form: ConnectionForm | None = None,
    failed: UserError | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    kind = selectors.kind_of(found)
    context: dict[str, Any] = pages.one(found) | {"failed": failed}
    if kind is not None:
        context["form"] = form or ConnectionForm(kind=kind, connection=found)
        context["secret_form"] = SecretForm(kind=kind) if kind.secrets else None
    return render(request, "edge/connection.html", context, status=status)


def _find(connection_id: int) -> Connection:
    try:
        return selectors.find_connection(connection_id)
    except NotFound as error:
        raise Http404(error.detail) from error
