"""Signing in with an OpenID provider: away to it, and back."""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from mozilla_django_oidc.views import OIDCAuthenticationRequestView

from accounts.providers import oidc
from accounts.providers.services import (
    ProviderUnavailable,
    SignInRefused,
    report_refusal,
    roles_of_groups,
    sign_in_person,
)
from common.context import current
from common.errors import UserError
from common.web.refusals import refusal_html

log = logging.getLogger(__name__)
_BACKEND = "accounts.backends.RoleBackend"


def _require_provider() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404("There is no page at this address.")


def _refused(request: HttpRequest, detail: str, status: int) -> HttpResponse:
    """The sign-in page with the reason: local accounts are as good as ever."""
    context = {"refused": detail, "unsent": "", "next": ""}
    return render(request, "accounts/login.html", context, status=status)


@method_decorator([never_cache, login_not_required], name="dispatch")
class Begin(OIDCAuthenticationRequestView):
    """To the provider, with a new state, nonce and PKCE challenge."""

    get_settings = staticmethod(oidc.provider_setting)

    def __init__(self, **more: Any) -> None:
        # The library's asks for the endpoints here, which discovery may not answer.
        super(OIDCAuthenticationRequestView, self).__init__(**more)

    def get(self, request: HttpRequest) -> HttpResponse:
        _require_provider()
        try:
            self.OIDC_OP_AUTH_ENDPOINT = oidc.discovery().authorization_endpoint
        except UserError as error:
            return _refused(request, refusal_html(error), error.status)
        self.OIDC_RP_CLIENT_ID = settings.OIDC_CLIENT_ID
        answer: HttpResponse = super().get(request)
        return answer


@never_cache
@require_GET
@login_not_required
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider. A state is good once, in the browser that asked for it."""
    _require_provider()
    state = request.GET.get("state", "")
    begun = request.session.get("oidc_states", {}).pop(state, None)
    if begun is None:
        return _refused(
            request,
            _("This sign-in was not begun in this browser, or is too old. You were not signed in. Begin again."),
            HTTPStatus.BAD_REQUEST,
        )
    following = request.session.pop("oidc_login_next", None)
    request.session.save()  # used up, whatever comes
    try:
        if "code" not in request.GET:
            raise ProviderUnavailable(
                f"{settings.OIDC_NAME} did not sign you in ({request.GET.get('error', 'no code')[:100]}). Try again, "
                "or sign in with a local account.",
                status=HTTPStatus.FORBIDDEN,
            )
        client = oidc.ProviderClient()
        person = client.person_of(request, nonce=begun["nonce"], code_verifier=begun.get("code_verifier"))
    except SignInRefused as error:
        report_refusal(person=None, provider=settings.OIDC_NAME, cause=error.detail)
        return _refused(request, refusal_html(error), error.status)
    except ProviderUnavailable as error:
        # Anybody can bring it about without the provider: the log has it, the audit log cannot be filled with it.
        log.warning("Nobody was signed in from %s: %s", current().address, error.detail)
        return _refused(request, refusal_html(error), error.status)
    try:
        roles = roles_of_groups(person.groups, settings.OIDC_ROLES)
        user = sign_in_person(person=person, roles=roles, provider=settings.OIDC_NAME)
    except UserError as error:
        return _refused(request, refusal_html(error), error.status)
    auth.login(request, user, backend=_BACKEND)
    # At a fixed time, however busy the session is: then the provider is asked again.
    request.session.set_expiry(timezone.now() + timedelta(minutes=settings.OIDC_SESSION_MINUTES))
    return HttpResponseRedirect(following or resolve_url(settings.LOGIN_REDIRECT_URL))
