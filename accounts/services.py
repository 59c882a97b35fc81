"""Writes: users, their roles, passwords and sessions, issuing and revoking tokens. Signing in: see sign_in.py."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, TemporaryPassword, digest_of, scopes_text
from accounts.selectors import administrators, user_document
from common.errors import Conflict, UserError
from common.rights import Right, Role, Scope, require
from records.audit.services import Actor, audit


# ---------------------------------------------------------------- users
@transaction.atomic
def create_user(
    *,
    username: str,
    password: str,
    roles: Iterable[str],
    actor: Actor,
    first_name: str = "",
    last_name: str = "",
    email: str = "",
) -> User:
    """A new user with roles. Raises `UserError` (name, password, role) and `Conflict` (name in use)."""
    require(actor, Right.ADMINISTER)
    user = User(username=User.normalize_username(username), first_name=first_name, last_name=last_name, email=email)
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
def create_user_with_temporary_password(
    *, username: str, roles: Iterable[str], actor: Actor, first_name: str = "", last_name: str = "", email: str = ""
) -> tuple[User, str]:
    """A new user and a password to be handed over, which has to be changed when it is first used. As `create_user`."""
    password = _temporary_password()
    user = create_user(
        username=username,
        password=password,
        roles=roles,
        actor=actor,
        first_name=first_name,
        last_name=last_name,
        email=email,
    )
    TemporaryPassword.objects.create(user=user)
    return user, password


@transaction.atomic
def change_details(*, user: User, first_name: str, last_name: str, email: str, actor: Actor) -> None:
    """What a user is called. Raises `UserError` for what is none."""
    require(actor, Right.ADMINISTER)
    locked = _locked(user)
    before = user_document(locked)
    locked.first_name, locked.last_name, locked.email = first_name, last_name, email
    try:
        locked.clean_fields(exclude=["username", "password"])
    except ValidationError as error:
        raise UserError(f"{' '.join(error.messages)} Nothing was changed.", code="invalid_user") from error
    locked.save(update_fields=["first_name", "last_name", "email"])
    report_user(user=locked, before=before, actor=actor)


@transaction.atomic
def set_roles(*, user: User, roles: Iterable[str], actor: Actor, reason: str = "") -> None:
    """Give a user exactly these roles, in force at the next request.

    Raises `UserError` where a person takes a role away without a reason, and `Conflict` for the right to administer of
    the last one who has it.
    """
    require(actor, Right.ADMINISTER)
    before = user_document(_locked_with_administrators(user))
    groups = _groups(roles)
    taken = sorted(set(before["roles"]) - {group.name for group in groups})
    if taken and actor is not None:
        reason = _required_reason(reason, "Taking a role away")
    if Role.ADMIN in taken:
        _keep_an_administrator(user)
    user.groups.set(groups)
    report_user(user=user, before=before, actor=actor, reason=reason)


@transaction.atomic
def change_roles(*, user: User, roles: Iterable[str], reason: str) -> None:
    """The same by the word of a provider of sign-ins. Raises `Conflict` for the last one who may administer."""
    before = user_document(_locked_with_administrators(user))
    groups = _groups(roles)
    if Role.ADMIN in set(before["roles"]) - {group.name for group in groups}:
        _keep_an_administrator(user)
    user.groups.set(groups)
    report_user(user=user, before=before, actor=None, reason=reason)


@transaction.atomic
def deactivate_user(*, user: User, reason: str, actor: Actor) -> None:
    """Let a user sign in no more: sessions end, tokens are revoked. Nobody is deleted, because records name them.

    Raises `UserError` without a reason, and `Conflict` for oneself, for the last administrator, and where it is so.
    """
    require(actor, Right.ADMINISTER)
    reason = _required_reason(reason, "Deactivating a user")
    locked = _locked_with_administrators(user)
    if not locked.is_active:
        raise Conflict(f"{user.username} is already inactive. Nothing was changed.")
    _keep_an_administrator(user)
    if actor is not None and actor.pk == user.pk:
        raise Conflict("You cannot deactivate yourself. Nothing was changed. Ask another administrator.")
    before = user_document(locked)
    locked.is_active = False
    locked.save(update_fields=["is_active"])
    report_user(user=locked, before=before, actor=actor, reason=reason)
    _delete_sessions(user)
    _revoke_all(user, actor=actor, reason=reason)


@transaction.atomic
def reactivate_user(*, user: User, actor: Actor) -> None:
    """Let a user sign in again, with the roles and the password from before. Tokens stay revoked."""
    require(actor, Right.ADMINISTER)
    locked = _locked(user)
    if locked.is_active:
        raise Conflict(f"{user.username} is already active. Nothing was changed.")
    before = user_document(locked)
    locked.is_active = True
    locked.save(update_fields=["is_active"])
    report_user(user=locked, before=before, actor=actor)


@transaction.atomic
def reset_password(*, user: User, reason: str, actor: Actor) -> str:
    """A temporary password for a user, returned once; it has to be changed when it is first used. All sessions end.

    One's own is changed in the settings, where the old one is asked for. Raises `Conflict` for that, and `UserError`
    without a reason.
    """
    require(actor, Right.ADMINISTER)
    reason = _required_reason(reason, "Resetting a password")
    if actor is not None and actor.pk == user.pk:
        raise Conflict("Your own password is changed in the settings. Nothing was changed.")
    locked, password = _locked(user), _temporary_password()
    locked.set_password(password)
    locked.save(update_fields=["password"])
    TemporaryPassword.objects.get_or_create(user=locked)
    audit(kind="user.password_reset", subject=locked, actor=actor, after={"reason": reason})
    _delete_sessions(user)
    return password


@transaction.atomic
def end_sessions(*, user: User, reason: str, actor: Actor) -> int:
    """Sign a user out in every browser; how many sessions that were. Raises `UserError` without a reason."""
    require(actor, Right.ADMINISTER)
    reason = _required_reason(reason, "Ending the sessions of a user")
    ended = _delete_sessions(user)
    after = {"sessions": ended, "reason": reason}
    audit(kind="user.sessions_ended", subject=user, actor=actor, after=after, changes_subject=False)
    return ended


def _locked(user: User) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _locked_with_administrators(user: User) -> User:
    """A user, locked together with all who may administer: two never remove each other's right.

    All rows in one order: who locked the other one first would wait for the other's lock for ever.
    """
    rows = User.objects.filter(Q(pk=user.pk) | Q(pk__in=administrators().values("pk")))
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    return User.objects.get(pk=user.pk)


def _temporary_password() -> str:
    """Random, and long enough for every rule; without signs that are easily confused when it is read aloud."""
    return "-".join("".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(4)) for _ in range(4))


def _required_reason(reason: str, what: str) -> str:
    reason = reason.strip()
    if not reason:
        raise UserError(
            f"{what} needs a reason. Nothing was changed. Enter one: it is kept in the audit log.",
            code="reason_missing",
        )
    return reason[:500]


def _keep_an_administrator(user: User) -> None:
    """Raises `Conflict` where nobody else could administer. For users of `_locked_with_administrators`."""
    if set(administrators().values_list("pk", flat=True)) == {user.pk}:
        raise Conflict(
            f"{user.username} is the last active administrator. Nothing was changed. Give somebody else the role admin "
            "first.",
            code="last_administrator",
        )


def _delete_sessions(user: User) -> int:
    """A session says inside whose it is: all that are not over are looked at."""
    keys = [
        session.pk
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=keys).delete()
    return len(keys)


def _revoke_all(user: User, *, actor: Actor, reason: str) -> None:
    for token in ApiToken.objects.filter(user=user, revoked_at__isnull=True):
        revoke_token(token=token, actor=actor, reason=reason)


def _groups(roles: Iterable[str]) -> list[Group]:
    names = set(roles)
    if not names <= set(Role):
        raise UserError(f"A role is one of {', '.join(Role)}.", code="unknown_role")
    return [Group.objects.get_or_create(name=str(role))[0] for role in sorted(names)]


def report_user(*, user: User, before: dict[str, Any] | None, actor: Actor, reason: str = "") -> None:
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
            after={name: after[name] for name in changed} | ({"reason": reason} if reason else {}),
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
            TemporaryPassword.objects.filter(user=user).delete()
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

    `through`: the token that the actor came in with. It gives away no more than it is, in scopes and in time; what it
    issues shares its limit of requests, ends with it, and issues none. Raises `UserError` (unknown scope, too many of
    them, a wrong end) and `Conflict` (name in use).
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
        _check_issuer(through)
        _check_scopes(through, requested, expires_at)
    conflict = Conflict(f"{user.username} already has a token named {name!r}. Revoke it first or choose another name.")
    if ApiToken.objects.filter(user=user, name=name, revoked_at__isnull=True).exists():
        raise conflict
    secret = f"mvt_{secrets.token_urlsafe(32)}"
    try:
        with transaction.atomic():
            token = ApiToken.objects.create(
                user=user,
                name=name,
                digest=digest_of(secret),
                hint=secret[:8],
                scopes=requested,
                expires_at=expires_at,
                issued_through=through,
            )
    except IntegrityError as error:  # somebody was faster with the same name
        raise conflict from error
    after = {"user": user.username, "name": name, "scopes": requested, "expires_at": expires_at}
    if through is not None:
        after["through"] = f"token {through.pk}"
    audit(kind="token.issued", subject=token, actor=actor, after=after)
    return token, secret


def _check_issuer(through: ApiToken) -> None:
    """The row is locked: while it issues it is not revoked, so that whoever revokes it finds all that it issued."""
    locked = ApiToken.objects.select_for_update(no_key=True).get(pk=through.pk)
    if not locked.is_valid:
        raise Conflict("This token was revoked meanwhile. No token was issued.")
    if locked.issued_through_id is not None:
        raise UserError(
            "A token that was issued by a token issues none itself. No token was issued. Sign in, or use the token "
            "that issued this one.",
            code="scope_exceeded",
            status=HTTPStatus.FORBIDDEN,
        )


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
def revoke_token(*, token: ApiToken, actor: Actor, reason: str = "") -> None:
    """End a token at once, with those that it issued; the rows stay. Revoking twice is one revocation."""
    require(actor, Right.ISSUE if actor is not None and actor.pk == token.user_id else Right.ADMINISTER)
    own = ApiToken.objects.select_for_update(no_key=True).filter(pk=token.pk, revoked_at__isnull=True).first()
    if own is None:
        return
    ended = [own, *ApiToken.objects.filter(issued_through=own, revoked_at__isnull=True)]
    ApiToken.objects.filter(pk__in=[each.pk for each in ended]).update(revoked_at=timezone.now())
    for each in ended:
        after = {"name": each.name} | ({"reason": reason[:500]} if reason else {})
        if each is not own:
            after["through"] = f"token {own.pk}"
        audit(kind="token.revoked", subject=each, actor=actor, after=after)
