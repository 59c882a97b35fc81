"""Reads: which token a key belongs to."""

from __future__ import annotations

from accounts.models import ApiToken, digest_of


def valid_token(plain: str) -> ApiToken | None:
    """The token of this key, unless it is unknown, revoked, expired or its user is switched off."""
    token = ApiToken.objects.select_related("user").filter(digest=digest_of(plain)).first()
    return token if token and token.is_valid and token.user.is_active else None
