"""One's own settings: what one may do, how pages look, the password, tokens for programs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from functools import wraps
from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts import selectors
from accounts.middleware import CHANGE_PASSWORD
from accounts.services import issue_token, reporting_password, revoke_token
from accounts.sign_in import confirm_password
from common.errors import UserError
from common.rights import SCOPES, Right, Scope, may, rights_of, roles_with
from common.web.browser import LANGUAGE, STATION, STATION_LENGTH, THEME, THEMES, keep_in_browser, station_of
from common.web.decorators import needs

_MAX_TOKENS = 100
_WORDS = {
    Right.INSPECT: _("judge images, singly and in batches"),
    Right.READ: _("view records, models, thresholds, data sets and runs"),
    Right.REVIEW: _("confirm or overrule a verdict"),
    Right.EXPORT: _("export records"),
    Right.TRAIN: _("import data sets, start and cancel training"),
    Right.TUNE: _("set thresholds and re-score records"),
    Right.DEPLOY: _("load, promote, roll back and archive model versions"),
    Right.AUDIT: _("view the audit log"),
    Right.ISSUE: _("issue and revoke your own tokens"),
    Right.ADMINISTER: _("manage users, all tokens and retention"),
}
_SCOPES = {
    Scope.INSPECT: _("judge images"),
    Scope.READ: _("view and export everything that you may view"),
    Scope.MANAGE: _("review, train, tune, deploy and administer, within your rights"),
}
_THEMES = {"light": _("Light"), "dark": _("Dark")}


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        widget=forms.TextInput({"autocomplete": "off", "placeholder": _("line 3, camera program")}),
    )
    scopes = forms.MultipleChoiceField(choices=list(_SCOPES.items()), widget=forms.CheckboxSelectMultiple)
    ends_on = forms.DateField(
        label=_("Valid until"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=_("This day included. Empty: until you revoke it."),
    )

    def __init__(self, user: User, data: Any = None) -> None:
        """With the scopes that are of use to this user: a token never gives more than its user has."""
        super().__init__(data)
        own = rights_of(user)
        usable = [(scope, words) for scope, words in _SCOPES.items() if SCOPES[scope] & own]
        self.fields["scopes"].choices = usable  # type: ignore[attr-defined]
        self.fields["scopes"].initial = [scope for scope, _ in usable[:1]]

    def clean_ends_on(self) -> datetime | None:
        day = self.cleaned_data["ends_on"]
        try:
            return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min)) if day else None
        except OverflowError as error:
            raise forms.ValidationError(
                _("This date is too far away. Leave it empty for a token without an end date.")
            ) from error


class BrowserForm(forms.Form):
    """What this browser keeps, whoever signs in at it."""

    theme = forms.ChoiceField(
        label=_("Colours"),
        required=False,
        choices=[("", _("System")), *((name, _THEMES[name]) for name in THEMES)],
        widget=forms.RadioSelect,
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("As the browser asks")), *settings.LANGUAGES],
    )
    station = forms.CharField(
        label=_("Station"),
        required=False,
        max_length=STATION_LENGTH,
        widget=forms.TextInput({"autocomplete": "off", "placeholder": _("line 3, camera 1")}),
    )

    def clean_station(self) -> str:
        """Every kind of space is a plain one; what cannot be seen is refused, as `station_of` takes none of it."""
        station = " ".join(str(self.cleaned_data["station"]).split())
        if not station.isprintable():
            raise forms.ValidationError(_("It contains an invisible character. Type it again."))
        return station


class PasswordForm(PasswordChangeForm):
    """Django's, on a page that has other things to begin with."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)

    def clean_old_password(self) -> str:
        """Guesses are counted and reported, whoever sits at a page that was left open."""
        password = str(self.cleaned_data["old_password"])
        try:
            if confirm_password(user=self.user, password=password):
                return password
        except UserError as error:
            raise forms.ValidationError(error.detail) from error
        raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")


def _page(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    """All of it; `more` is what an answer to a form shows besides."""
    user = request.user
    assert isinstance(user, User), "nobody else is let in"
    own = rights_of(user)
    issues = may(user, Right.ISSUE)
    context: dict[str, Any] = {
        "roles": selectors.roles_of(user),
        "granted": [words for right, words in _WORDS.items() if right in own],
        "refused": [(words, ", ".join(roles_with(right))) for right, words in _WORDS.items() if right not in own],
        "browser_form": BrowserForm(
            initial={name: request.COOKIES.get(name, "") for name in (THEME, LANGUAGE)} | {STATION: station_of(request)}
        ),
        "password_form": PasswordForm(user),
        "token_form": TokenForm(user),
        "tokens": list(selectors.tokens_of(user)[:_MAX_TOKENS]) if issues else [],
    }
    return render(request, "settings/page.html", context | more, status=status)


def form_of_settings(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """What a form of the page is sent to. An answer to it stays under this address in the browser: whoever opens that
    anew gets the page."""
    posted = require_POST(view)

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("settings") if request.method in ("GET", "HEAD") else posted(request, *args, **kwargs)

    return answer


@require_GET
def settings_page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@form_of_settings
def keep_browser(request: HttpRequest) -> HttpResponse:
    """Colours and station of this browser, in its cookies."""
    form = BrowserForm(request.POST)
    if not form.is_valid():
        return _page(request, browser_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    response = redirect("settings")
    keep_in_browser(request, response, **{name: form.cleaned_data[name] for name in (THEME, LANGUAGE, STATION)})
    return response


@sensitive_post_parameters()
@never_cache
@form_of_settings
def change_password(request: HttpRequest) -> HttpResponse:
    """One's own; other browsers that are signed in are signed out by it."""
    assert isinstance(request.user, User), "nobody else is let in"
    form = PasswordForm(request.user, request.POST)
    if not form.is_valid():
        return _page(request, password_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    user = form.save(commit=False)  # it is hashed before anybody has to wait for the write
    with reporting_password(user=user, actor=user):
        user.save(update_fields=["password"])
    update_session_auth_hash(request, request.user)
    request.session.pop(CHANGE_PASSWORD, None)
    messages.success(request, str(_("Your password was changed. You were signed out everywhere else.")))
    return redirect("settings")


# ---------------------------------------------------------------- tokens
@never_cache
@form_of_settings
@needs(Right.ISSUE)
def issue(request: HttpRequest) -> HttpResponse:
    """A new token. Its key stands on the page that answers, and nowhere afterwards."""
    assert isinstance(request.user, User), "the right says so"
    form = TokenForm(request.user, request.POST)
    if not form.is_valid():
        return _page(request, token_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    fields = form.cleaned_data
    try:
        token, key = issue_token(
            user=request.user,
            name=fields["name"],
            scopes=fields["scopes"],
            expires_at=fields["ends_on"],
            actor=request.user,
        )
    except UserError as error:
        return _page(request, token_form=form, token_error=error, status=error.status)
    return _page(request, issued=token, key=key, status=HTTPStatus.CREATED)


@form_of_settings
@needs(Right.ISSUE)
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    assert isinstance(request.user, User), "the right says so"
    try:
        token = selectors.find_token(token_id, visible_to=request.user)
        revoke_token(token=token, actor=request.user)
    except UserError as error:
        return _page(request, token_error=error, status=error.status)
    sentence = _("The token %(name)s was revoked. Programs can no longer use it.")
    messages.success(request, str(sentence) % {"name": token.name})
    return redirect("settings")
