"""Writes: issuing and revoking tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from accounts.models import ApiToken, digest_of, scopes_text
from accounts.roles import Right, Scope, require
from mvtec_site.errors import Conflict, UserError
from records.services import Actor, audit

# `last_used_at` says "in use or forgotten", not when to the second: one write a minute at most.
_LAST_USED_STEP = timedelta(minutes=1)


@transaction.atomic
def issue_token(
    *,
    user: User,
    name: str,
    actor: Actor,
    scopes: Iterable[str] = tuple(Scope),
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its key; the key cannot be had again. For others than oneself only an admin issues one.

    Raises `UserError` (unknown scope, or one that the actor's own token does not have) and `Conflict` (name in use).
    """
    wanted = scopes_text(scopes)
    if not wanted or not set(wanted.split()) <= set(Scope):
        raise UserError(f"A token's scopes are one or more of {', '.join(Scope)}.", code="invalid_scope")
    if actor is not None and actor.pk != user.pk:
        require(actor, Right.ADMINISTER)
    if ApiToken.objects.filter(user=user, name=name, revoked_at__isnull=True).exists():
        raise Conflict(f"{user.username} already has a token named {name!r}. Revoke it first or choose another name.")
    plain = f"mvt_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        user=user, name=name, digest=digest_of(plain), hint=plain[:8], scopes=wanted, expires_at=expires_at
    )
    audit(
        kind="token.issued",
        subject=token,
        actor=actor,
        after={"user": user.username, "name": name, "scopes": wanted, "expires_at": expires_at},
    )
    return token, plain


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: Actor) -> None:
    """End a token at once. Revoking twice is one revocation."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        audit(kind="token.revoked", subject=token, actor=actor, after={"name": token.name})


def note_use(*, token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > _LAST_USED_STEP:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
