"""`Authorization: Bearer mvt_...` for programs."""

from __future__ import annotations

from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.api.token_use import WrongToken, token_of
from accounts.models import ApiToken
from common.context import current
from common.rights import narrow


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in (b"bearer", b"token"):
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The Authorization header must read: Bearer <token>.")
        try:
            token = token_of(secret=words[1].decode("latin-1"), address=current().address)
        except WrongToken as error:
            raise AuthenticationFailed(error.detail) from error
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
