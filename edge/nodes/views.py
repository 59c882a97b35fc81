"""The page of edge nodes: all of them with how they are; for administrators, making and changing them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from edge.nodes import pages, selectors, services
from edge.nodes.models import MAX_NAME, EdgeNode


class NodeForm(forms.Form):
    name = forms.RegexField(
        r"^[a-z0-9][a-z0-9-]*$",
        label=_("Name"),
        max_length=MAX_NAME,
        help_text=_("Small letters, digits and hyphens; EDGE_NODE_NAME on the node."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    station = forms.CharField(
        label=_("Station"),
        required=False,
        max_length=100,
        help_text=_("Whose records it may forward; empty: any."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )


@require_GET
@needs(Right.READ)
def nodes(request: HttpRequest) -> HttpResponse:
    return _page(request, NodeForm())


@require_POST
@never_cache
@needs(Right.ADMINISTER)
def create(request: HttpRequest) -> HttpResponse:
    form = NodeForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return _show_token(request, form, lambda: services.create_node(actor=request.user, **form.cleaned_data))


@require_POST
@never_cache
@needs(Right.ADMINISTER)
def act(request: HttpRequest, node_id: int) -> HttpResponse:
    """`action`: enable, disable, or token for another one."""
    try:
        node = selectors.find_node(node_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    action = request.POST.get("action", "")
    if action == "token":
        return _show_token(request, NodeForm(), lambda: (node, services.renew_token(node=node, actor=request.user)))
    if action not in ("enable", "disable"):
        raise Http404("There is no such action.")
    services.change_node(node=node, is_enabled=action == "enable", actor=request.user)
    return redirect("edge-nodes")


def _show_token(request: HttpRequest, form: NodeForm, make: Callable[[], tuple[EdgeNode, str]]) -> HttpResponse:
    try:
        node, token = make()
    except UserError as error:
        return _page(request, form, failed=error, status=error.status)
    return _page(request, NodeForm(), node=node, token=token)


def _page(
    request: HttpRequest,
    form: NodeForm,
    *,
    node: EdgeNode | None = None,
    token: str = "",
    failed: UserError | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    context = {"rows": pages.node_rows(), "form": form, "node": node, "token": token, "failed": failed}
    return render(request, "edge/nodes.html", context, status=status)
