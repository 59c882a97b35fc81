"""`Authorization: Bearer mvt_...` for programs."""

from __future__ import annotations

from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiToken
from accounts.selectors import valid_token
from accounts.services import note_use
from common.rights import narrow


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in (b"bearer", b"token"):
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The Authorization header must read: Bearer <token>.")
        token = valid_token(words[1].decode("latin-1"))
        if token is None:
            raise AuthenticationFailed(
                "This token is unknown, revoked or expired. Nothing was done. Compare it with the issued one: "
                "the Settings page lists valid tokens by their first characters. Create a new one there or with "
                "manage.py create_token."
            )
        note_use(token=token)
        narrow(token.user, token.scope_list)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Its presence makes DRF answer 401 instead of 403 to those who did not sign in."""
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
