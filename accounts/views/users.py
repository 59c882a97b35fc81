"""Users, for those who administer: who there is, what they may do, and letting them in or out."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import selectors, services
from accounts.models import FailedSignIns
from accounts.sign_in import unlock
from common.api.pagination import read_page
from common.errors import UserError
from common.rights import RIGHTS, Right, Role
from common.web.addresses import or_404, query_string
from common.web.decorators import needs

_MAX_REASON_LENGTH = 500
_MAX_TOKENS = 100
_ROLES = [(str(role), f"{role}: {', '.join(sorted(RIGHTS[role]))}") for role in Role]
_STATES = {"": None, "active": True, "inactive": False}


class DetailsForm(forms.Form):
    first_name = forms.CharField(
        label=_("First name"), required=False, max_length=150, widget=forms.TextInput({"autocomplete": "off"})
    )
    last_name = forms.CharField(
        label=_("Last name"), required=False, max_length=150, widget=forms.TextInput({"autocomplete": "off"})
    )
    email = forms.EmailField(label=_("E-mail"), required=False, max_length=254)


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("Roles"), required=False, choices=_ROLES, widget=forms.CheckboxSelectMultiple
    )
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=_MAX_REASON_LENGTH, help_text=_("Needed to take a role away.")
    )


class NewUserForm(DetailsForm):
    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        widget=forms.TextInput({"autocomplete": "off", "autofocus": True}),
    )
    roles = forms.MultipleChoiceField(label=_("Roles"), choices=_ROLES, widget=forms.CheckboxSelectMultiple)
    field_order = ("username", "first_name", "last_name", "email", "roles")


@require_GET
@needs(Right.ADMINISTER)
def users(request: HttpRequest) -> HttpResponse:
    """Everybody, by name; `?q=`, `?role=`, `?state=active`."""
    search = request.GET.get("q", "")[:150].replace("\0", "").strip()
    role, state = request.GET.get("role", ""), request.GET.get("state", "")
    if (role and role not in set(Role)) or state not in _STATES:
        raise Http404("There is no such role or state.")
    rows = selectors.users(search=search, role=role, active=_STATES[state])
    try:
        page = read_page(rows, request, ordering=("username",))
    except UserError as error:
        raise Http404(error.detail) from error
    context = page.queries | {
        "users": page.rows,
        "search": search,
        "role": role,
        "state": state,
        "states": [
            (word, value == state, query_string({"q": search, "role": role, "state": value}))
            for value, word in (("", _("Everybody")), ("active", _("Active")), ("inactive", _("Inactive")))
        ],
        "roles": [
            (word, value == role, query_string({"q": search, "role": value, "state": state}))
            for value, word in (("", _("All roles")), *((str(each), str(each)) for each in Role))
        ],
    }
    return render(request, "users/list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.ADMINISTER)
def new(request: HttpRequest) -> HttpResponse:
    """The form of a new user; the answer to it shows the temporary password, this once."""
    form = NewUserForm(request.POST if request.method == "POST" else None, initial={"roles": [Role.OPERATOR]})
    failed: UserError | None = None
    if form.is_valid():
        try:
            made, password = services.create_user_with_temporary_password(**form.cleaned_data, actor=request.user)
        except UserError as error:
            failed = error
        else:
            return _page(request, made.pk, password=password, status=HTTPStatus.CREATED)
    status = failed.status if failed else HTTPStatus.UNPROCESSABLE_ENTITY if form.is_bound else HTTPStatus.OK
    return render(request, "users/new.html", {"form": form, "failed": failed}, status=status)


@require_GET
@needs(Right.ADMINISTER)
def user(request: HttpRequest, user_id: int) -> HttpResponse:
    return _page(request, user_id)


def _page(request: HttpRequest, user_id: int, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    """One user; `more` is what an answer to a form shows besides."""
    shown = or_404(selectors.find_user_by_id, user_id)
    roles = selectors.roles_of(shown)
    tokens = list(selectors.tokens_of(request.user, of=shown.username)[:_MAX_TOKENS])  # type: ignore[arg-type]
    context = {
        "shown": shown,
        "roles": roles,
        "is_self": shown.pk == request.user.pk,
        "tokens": tokens,
        "details_form": DetailsForm(initial={name: getattr(shown, name) for name in DetailsForm.base_fields}),
        "roles_form": RolesForm(initial={"roles": roles}),
        "reason": request.POST.get("reason", "")[:_MAX_REASON_LENGTH],
    }
    return render(request, "users/one.html", context | more, status=status)


# ---------------------------------------------------------------- what may be done
def _change_details(request: HttpRequest, of: User) -> HttpResponse:
    form = DetailsForm(request.POST)
    if not form.is_valid():
        return _page(request, of.pk, details_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    services.change_details(user=of, **form.cleaned_data, actor=request.user)
    return _done(request, of, _("The details were saved."))


def _set_roles(request: HttpRequest, of: User) -> HttpResponse:
    form = RolesForm(request.POST)
    if not form.is_valid():
        return _page(request, of.pk, roles_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    services.set_roles(
        user=of, roles=form.cleaned_data["roles"], reason=form.cleaned_data["reason"], actor=request.user
    )
    return _done(request, of, _("%(username)s has these roles from the next request on."))


def _deactivate(request: HttpRequest, of: User) -> HttpResponse:
    services.deactivate_user(user=of, reason=_reason(request), actor=request.user)
    return _done(request, of, _("%(username)s was signed out everywhere and can no longer sign in."))


def _reactivate(request: HttpRequest, of: User) -> HttpResponse:
    services.reactivate_user(user=of, actor=request.user)
    return _done(request, of, _("%(username)s may sign in again."))


def _reset_password(request: HttpRequest, of: User) -> HttpResponse:
    password = services.reset_password(user=of, reason=_reason(request), actor=request.user)
    return _page(request, of.pk, password=password)


def _end_sessions(request: HttpRequest, of: User) -> HttpResponse:
    ended = services.end_sessions(user=of, reason=_reason(request), actor=request.user)
    return _done(request, of, _("%(username)s was signed out: %(n)s sessions ended."), n=ended)


def _unlock(request: HttpRequest, of: User) -> HttpResponse:
    unlock(kind=FailedSignIns.Kind.USER, name=of.username, actor=request.user)
    return _done(request, of, _("%(username)s may try to sign in again."))


_ACTS: dict[str, Callable[[HttpRequest, User], HttpResponse]] = {
    "details": _change_details,
    "roles": _set_roles,
    "deactivate": _deactivate,
    "reactivate": _reactivate,
    "reset-password": _reset_password,
    "end-sessions": _end_sessions,
    "unlock": _unlock,
}


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").replace("\0", "")


def _done(request: HttpRequest, of: User, sentence: Promise, **shown: Any) -> HttpResponse:
    """`sentence` may name the user and what is `shown`."""
    messages.success(request, str(sentence) % {"username": of.username, **shown})
    return redirect("user", of.pk)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.ADMINISTER)
def act(request: HttpRequest, user_id: int, act: str) -> HttpResponseBase:
    """What a form of the page is sent to; opened anew it leads back to the page."""
    if act not in _ACTS:
        raise Http404("There is no page at this address.")
    if request.method != "POST":
        return redirect("user", user_id)
    of = or_404(selectors.find_user_by_id, user_id)
    try:
        return _ACTS[act](request, of)
    except UserError as error:
        return _page(request, user_id, failed=error, failed_act=act, status=error.status)


@require_POST
@needs(Right.ADMINISTER)
def revoke(request: HttpRequest, user_id: int, token_id: int) -> HttpResponse:
    try:
        token = selectors.find_token(token_id, visible_to=request.user)  # type: ignore[arg-type]
        if token.user_id != user_id:
            raise Http404("There is no such token of this user.")
        services.revoke_token(token=token, actor=request.user, reason=_reason(request))
    except UserError as error:
        return _page(request, user_id, failed=error, status=error.status)
    sentence = _("The token %(name)s was revoked. Programs can no longer use it.")
    messages.success(request, str(sentence) % {"name": token.name})
    return redirect("user", user_id)
