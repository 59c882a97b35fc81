"""Writes: users and their roles, issuing and revoking tokens. Signing in: see sign_in.py."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import ApiToken, digest_of, scopes_text
from accounts.selectors import user_document
from common.errors import Conflict, UserError
from common.rights import Right, Role, Scope, require
from records.audit.services import Actor, audit

# `last_used_at` says "in use or forgotten", not when to the second: one write a minute at most.
_LAST_USED_STEP = timedelta(minutes=1)


# ---------------------------------------------------------------- users
@transaction.atomic
def create_user(*, username: str, password: str, roles: Iterable[str], actor: Actor) -> User:
    """A new user with roles. Raises `UserError` (name, password, role) and `Conflict` (name in use)."""
    require(actor, Right.ADMINISTER)
    user = User(username=User.normalize_username(username))
    try:
        user.clean_fields(exclude=["password"])
        validate_password(password, user)
    except ValidationError as error:
        raise UserError(f"{' '.join(error.messages)} No user was created.", code="invalid_user") from error
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"A user named {user.username!r} already exists. Nothing was changed.") from error
    user.groups.set(_groups(roles))
    report_user(user=user, before=None, actor=actor)
    return user


@transaction.atomic
def set_roles(*, user: User, roles: Iterable[str], actor: Actor) -> None:
    """Give a user exactly these roles, in force at the next request."""
    require(actor, Right.ADMINISTER)
    before = user_document(User.objects.select_for_update(no_key=True).get(pk=user.pk))
    user.groups.set(_groups(roles))
    report_user(user=user, before=before, actor=actor)


def _groups(roles: Iterable[str]) -> list[Group]:
    names = set(roles)
    if not names <= set(Role):
        raise UserError(f"A role is one of {', '.join(Role)}.", code="unknown_role")
    return [Group.objects.get_or_create(name=str(role))[0] for role in sorted(names)]


def report_user(*, user: User, before: dict[str, Any] | None, actor: Actor) -> None:
    """Audit what became of a user, last in the transaction that changed it; nothing where nothing changed."""
    after = user_document(User.objects.get(pk=user.pk))
    if before is None:
        audit(kind="user.created", subject=user, actor=actor, after=after)
        return
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        audit(
            kind="user.changed",
            subject=user,
            actor=actor,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )


@contextmanager
def reporting_password(*, user: User, actor: Actor) -> Iterator[None]:
    """Around what may change a password: audited when it did, and never what it was or is."""
    with transaction.atomic():
        passwords = User.objects.filter(pk=user.pk).values_list("password", flat=True)
        before = passwords.first()
        yield
        after = passwords.first()
        if after is not None and after != before:
            audit(
                kind="user.password_changed",
                subject=user,
                actor=actor,
                after={"usable": is_password_usable(after)},
            )


# ---------------------------------------------------------------- tokens
@transaction.atomic
def issue_token(
    *,
    user: User,
    name: str,
    actor: Actor,
    scopes: Iterable[str] = tuple(Scope),
    expires_at: datetime | None = None,
    through: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its key; the key cannot be had again. For others than oneself only an admin issues one.

    `through`: the token that the actor came in with. It gives away no more than it is, in scopes and in time. Raises
    `UserError` (unknown scope, too many of them, a wrong end) and `Conflict` (name in use).
    """
    require(actor, Right.ISSUE)
    if actor is not None and actor.pk != user.pk:
        require(actor, Right.ADMINISTER)
    requested = scopes_text(scopes)
    if not requested or not set(requested.split()) <= set(Scope):
        raise UserError(f"A token's scopes are one or more of {', '.join(Scope)}.", code="invalid_scope")
    if expires_at is not None and expires_at <= timezone.now():
        raise UserError("The end date of a token must be in the future. No token was issued.", code="invalid_expiry")
    if through is not None:
        _check_scopes(through, requested, expires_at)
    conflict = Conflict(f"{user.username} already has a token named {name!r}. Revoke it first or choose another name.")
    if ApiToken.objects.filter(user=user, name=name, revoked_at__isnull=True).exists():
        raise conflict
    secret = f"mvt_{secrets.token_urlsafe(32)}"
    try:
        with transaction.atomic():
            token = ApiToken.objects.create(
                user=user, name=name, digest=digest_of(secret), hint=secret[:8], scopes=requested, expires_at=expires_at
            )
    except IntegrityError as error:  # somebody was faster with the same name
        raise conflict from error
    after = {"user": user.username, "name": name, "scopes": requested, "expires_at": expires_at}
    if through is not None:
        after["through"] = f"token {through.pk}"
    audit(kind="token.issued", subject=token, actor=actor, after=after)
    return token, secret


def _check_scopes(through: ApiToken, scopes: str, expires_at: datetime | None) -> None:
    if not set(scopes.split()) <= set(through.scope_list):
        raise UserError(
            f"A token cannot issue a token with more scopes than its own ({through.scopes}). No token was issued. "
            "Sign in, or use a token that has these scopes.",
            code="scope_exceeded",
            status=HTTPStatus.FORBIDDEN,
        )
    if through.expires_at is not None and (expires_at is None or expires_at > through.expires_at):
        raise UserError(
            f"A token cannot issue a token that is valid longer than itself ({through.expires_at:%Y-%m-%d %H:%M} "
            "UTC). No token was issued. Choose an earlier end date.",
            code="invalid_expiry",
        )


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: Actor) -> None:
    """End a token at once; its row stays. Revoking twice is one revocation."""
    require(actor, Right.ISSUE if actor is not None and actor.pk == token.user_id else Right.ADMINISTER)
    if ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        audit(kind="token.revoked", subject=token, actor=actor, after={"name": token.name})


def note_use(*, token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > _LAST_USED_STEP:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
