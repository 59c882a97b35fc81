"""Who is not signed in is asked to, and told what became of what was sent."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from common.api import problems

# Tells a page's script that the answer is none because the session is over, or its CSRF token is.
SIGN_IN_HEADER = "X-Sign-In"
# In the session of somebody who signed in with a password that an administrator handed over.
CHANGE_PASSWORD = "change_password"
_WHILE_CHANGING = ("settings", "settings-password", "logout", "session", "healthz", "readyz", "metrics")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def is_from_script(request: HttpRequest) -> bool:
    """Whether a page's script asks: it opens a dialog, where a navigation would lead to the sign-in page."""
    return request.headers.get("HX-Request") == "true" or request.headers.get("X-Requested-With") == "fetch"


def session_over(request: HttpRequest) -> HttpResponse:
    """401 for a script; else the sign-in page, which leads back to the page that was looked at.

    What a form sent is not kept, and the sign-in page says so.
    """
    if is_from_script(request):
        return HttpResponse("Sign in again.", status=401, headers={SIGN_IN_HEADER: "required"})
    query = {"next": request.get_full_path()}
    if request.method not in _SAFE_METHODS:
        is_upload = request.content_type == "multipart/form-data"
        query = {"next": _referring_page(request), "unsent": "file" if is_upload else "form"}
    return HttpResponseRedirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode(query, safe='/')}")


def password_first(request: HttpRequest) -> HttpResponseBase:
    """To the settings, or a problem document: nothing else is done with a temporary password."""
    if problems.is_api(request):
        text = "Your password is temporary. Nothing was changed. Choose one of your own in the settings first."
        return problems.response(HTTPStatus.FORBIDDEN, "permission_denied", text)
    messages.error(request, _("Your password is temporary. Choose one of your own in the settings first."))
    return HttpResponseRedirect(resolve_url("settings") + "#password")


def _referring_page(request: HttpRequest) -> str:
    """The page of this site that a form was sent from: an address that takes forms often shows none."""
    referrer = urlsplit(request.headers.get("Referer", ""))
    if referrer.netloc != request.get_host():
        return resolve_url(settings.LOGIN_REDIRECT_URL)
    return f"{referrer.path or '/'}?{referrer.query}" if referrer.query else referrer.path or "/"


class SignInMiddleware(LoginRequiredMiddleware):
    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        answer: HttpResponseBase | None = super().process_view(request, view_func, view_args, view_kwargs)
        if answer is not None or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return answer
        if not request.session.get(CHANGE_PASSWORD):
            return None
        match = request.resolver_match
        return None if match is not None and match.url_name in _WHILE_CHANGING else password_first(request)

    def handle_no_permission(  # type: ignore[override]  # a script is answered, not redirected
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseBase:
        return session_over(request)
