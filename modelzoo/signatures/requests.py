"""What a form or a request of the API brings to sign with, verified before the act begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from rest_framework.request import Request

from modelzoo.signatures.selectors import Act, Signature
from modelzoo.signatures.services import Credentials, sign

# In a session whose user has signed with both components: later signatures need the password alone (21 CFR 11.200).
_SIGNED = "has_signed"
_MAX_LENGTH = 4096


def is_first_of_session(request: HttpRequest) -> bool:
    return not request.session.get(_SIGNED)


def form_signature(request: HttpRequest, *, act: Act, about: Model) -> Signature | None:
    """The signature that a form gives; None where it gives none, which is for the service to judge.

    Raises what `services.sign` does.
    """
    request.sensitive_post_parameters = ["signature_password"]  # type: ignore[attr-defined]  # in reports of errors
    password = request.POST.get("signature_password", "")
    if not password or not isinstance(request.user, User):
        return None
    return _signed(
        request,
        act,
        about,
        Credentials(
            password=password[:_MAX_LENGTH],
            meaning=request.POST.get("signature_meaning", ""),
            username=request.POST.get("signature_username", ""),
            needs_username=is_first_of_session(request),
        ),
    )


def api_signature(
    request: Request, *, act: Act, about: Model, credentials: Mapping[str, Any] | None
) -> Signature | None:
    """The same of a request of the API. A token is a component of its own, beside which the password is enough."""
    if credentials is None:
        return None
    by_session = request.auth is None
    return _signed(
        request, act, about, Credentials(**credentials, needs_username=by_session and is_first_of_session(request))
    )


def _signed(request: HttpRequest | Request, act: Act, about: Model, credentials: Credentials) -> Signature:
    user = request.user
    assert isinstance(user, User), "who acts is signed in"
    signature = sign(user=user, act=act, about=(about._meta.label_lower, str(about.pk)), credentials=credentials)
    if credentials.needs_username:
        request.session[_SIGNED] = True
    return signature
