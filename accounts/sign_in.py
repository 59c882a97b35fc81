"""Writes: who may try a password and how often, and what became of it.

A try is counted as failed before the password is looked at, and taken back when it was right: however many come at the
same moment, no more passwords are looked at than the limit allows. The counts are rows, one and the same for all web
processes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ExternalIdentity, FailedSignIns
from accounts.providers.services import ProviderUnavailable, roles_of_groups, sign_in_person
from common.context import current
from common.errors import NotFound, UserError
from common.rights import Right, require
from jobs.metrics.definitions import LOCK_OUTS
from records.audit.services import Actor, audit

log = logging.getLogger(__name__)
Kind = FailedSignIns.Kind
Failure = tuple[str, Mapping[str, Any]]
"""Kind of an audit event, and what it says besides."""
_MAX_NAME_LENGTH = 150
_BACKEND = "accounts.backends.RoleBackend"

# Who goes on trying while locked out is told in the audit once in so long, with the number of tries: an attacker shall
# not be able to fill a log that nobody may shorten.
_REPORT_SECONDS = timedelta(minutes=1)


class WrongPassword(UserError):
    code = "wrong_password"
    status = 403  # type: ignore[assignment]
    is_translated = True


class LockedOut(UserError):
    code = "locked_out"
    status = 429  # type: ignore[assignment]
    is_translated = True


def try_password(*, request: HttpRequest, username: str, password: str) -> User:
    """The user whose name and password these are. Raises `WrongPassword` and `LockedOut`; all three are audited."""
    address = current().address
    username = username[:_MAX_NAME_LENGTH]  # no user has a longer one, and so much of it is kept
    until = _count(username=username, address=address)
    if until is not None:
        log.warning("A try to sign in as %r from %s was refused: locked out until %s.", username, address, until)
        raise _locked_out(until)
    user = authenticate(request, username=username, password=password)
    if user is None and settings.LDAP_URL:
        user = _try_directory(request=request, username=username, password=password, address=address)
        if user is not None:
            _lower_failures(username=username, address=address)
            return user
    if not isinstance(user, User):
        until = _record_failure(username=username, address=address)
        raise (
            _locked_out(until)
            if until
            else WrongPassword(_("User name and password do not match. Both are case-sensitive."))
        )
    _reset_failures(user=user, username=username, address=address)
    return user


def _try_directory(*, request: HttpRequest, username: str, password: str, address: str) -> User | None:
    """Whom the directory knows by this name and password. Raises `UserError` where it is away or gives no role.

    It is not asked about a local account, whose wrong password is a failed try and no other's business. Where somebody
    has both, a try counts while the directory is away: the local password could be guessed meanwhile.
    """
    from accounts.providers import directory  # needs requirements-ldap.txt

    local = User.objects.filter(username=username).first()
    has_password = local is not None and local.has_usable_password()
    if has_password and not ExternalIdentity.objects.filter(user=local, kind=ExternalIdentity.Kind.LDAP).exists():
        return None
    try:
        person = directory.person_of(username=username, password=password, request=request)
        if person is None:
            return None
        roles = roles_of_groups(person.groups, settings.LDAP_ROLES)
        user = sign_in_person(person=person, roles=roles, provider=settings.LDAP_NAME)
    except UserError as error:
        if not (has_password and isinstance(error, ProviderUnavailable)):
            _lower_failures(username=username, address=address)
        raise
    user.backend = _BACKEND  # as Django's `authenticate` would have set it
    return user


def confirm_password(*, user: User, password: str, failure: Failure | None = None) -> bool:
    """Whether it is the password of somebody who is signed in. Raises `LockedOut`: tries count as those to sign in.

    `failure`: how a wrong one is audited, where it is not one to sign in.
    """
    username, address = user.get_username(), current().address
    until = _count(username=username, address=address)
    if until is None:
        if user.check_password(password):
            _lower_failures(username=username, address=address)
            return True
        until = _record_failure(username=username, address=address, failure=failure, actor=user)
    if until is not None:
        raise _locked_out(until)
    return False


def _locked_out(until: datetime) -> LockedOut:
    minutes = max(1, round((until - timezone.now()).total_seconds() / 60))
    return LockedOut(
        _(
            "Too many failed attempts. Signing in is locked until %(until)s (%(minutes)s min from now), even with the "
            "right password. Try again then, or ask an administrator to unlock it."
        )
        % {"until": f"{timezone.localtime(until):%H:%M}", "minutes": minutes}
    )


def _limits(username: str, address: str) -> list[tuple[str, str, int]]:
    """What is counted, always in this order, so that two tries never wait for each other's rows."""
    by_address = [(Kind.ADDRESS.value, address, settings.LOGIN_FAILURES_ADDRESS)] if address else []
    return [*by_address, (Kind.USER.value, username, settings.LOGIN_FAILURES)]


@transaction.atomic
def _count(*, username: str, address: str) -> datetime | None:
    """Count a try against its address and its name; until when it is refused, if it is."""
    now = timezone.now()
    window = timedelta(minutes=settings.LOGIN_WINDOW)
    for kind, name, limit in _limits(username, address):
        row, _ = FailedSignIns.objects.select_for_update().get_or_create(
            kind=kind, name=name, defaults={"since": now, "forget_at": now + window}
        )
        if row.forget_at <= now:
            row.failures = row.refused = 0
            row.since, row.forget_at = now, now + window
            row.locked_until = row.reported_at = None
        if row.locked_until:
            row.refused += 1
            if row.reported_at is None or now - row.reported_at >= _REPORT_SECONDS:
                _report(row, username=username, address=address, now=now)
            row.save()
            return row.locked_until
        row.failures += 1
        if row.failures >= limit:
            transaction.on_commit(LOCK_OUTS.labels(kind).inc)
            row.locked_until = row.forget_at = now + window
        row.save()
    return None


def _report(row: FailedSignIns, *, username: str, address: str, now: datetime) -> None:
    """Say in the audit that a name or an address is locked out, and how many tries were refused since the last time."""
    audit(
        kind="sign_in.locked_out",
        subject=_subject(username),
        actor=None,
        after={
            "username": username,
            "address": address,
            "by": row.kind,
            "failures": row.failures,
            "refused": row.refused,
            "until": row.locked_until,
        },
    )
    row.refused, row.reported_at = 0, now


def _subject(username: str) -> User | tuple[str, str]:
    return User.objects.filter(username=username).first() or ("auth.user", "")


def _record_failure(
    *, username: str, address: str, failure: Failure | None = None, actor: Actor = None
) -> datetime | None:
    """Report a failure; until when everything is refused now, where it was one too many.

    `actor`: who is signed in, where the failure is not one to sign in.
    """
    kind, details = failure or ("sign_in.failed", {})
    now = timezone.now()
    with transaction.atomic():
        counters = [
            FailedSignIns.objects.select_for_update().filter(kind=kind, name=name).first()
            for kind, name, _ in _limits(username, address)
        ]
        locked = [row for row in counters if row and row.locked_until]
        audit(
            kind=kind,
            subject=_subject(username),
            actor=actor if failure else None,
            after={"username": username, "address": address, **details},
        )
        for row in locked:
            if row.reported_at is None:
                _report(row, username=username, address=address, now=now)
                row.save()
    # On its own, and past rows that others hold: cleaning up never waits, so it cannot be waited for in a circle.
    with transaction.atomic():
        old = FailedSignIns.objects.select_for_update(skip_locked=True).filter(forget_at__lte=now)
        FailedSignIns.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    return max((row.locked_until for row in locked if row.locked_until), default=None)


@transaction.atomic
def _reset_failures(*, user: User, username: str, address: str) -> None:
    _lower_failures(username=username, address=address)
    audit(kind="sign_in.succeeded", subject=user, actor=user, after={"address": address}, changes_subject=False)


@transaction.atomic
def _lower_failures(*, username: str, address: str) -> None:
    """Take the try back. The name's failures are forgiven, the address's stay: it may be trying other names."""
    for kind, name, limit in _limits(username, address):
        rows = FailedSignIns.objects.select_for_update().filter(kind=kind, name=name)
        row = rows.first()
        if row is None:
            continue
        row.failures -= 1
        if kind == Kind.USER or row.failures <= 0:
            row.delete()
            continue
        if row.failures < limit:
            row.locked_until = None
        row.save()


@transaction.atomic
def note_sign_out(*, user: User) -> None:
    audit(kind="sign_out", subject=user, actor=user, changes_subject=False)


@transaction.atomic
def unlock(*, kind: str, name: str, actor: Actor) -> FailedSignIns:
    """Forget the failed tries of a user name or an address at once. Raises `NotFound` where there are none."""
    require(actor, Right.ADMINISTER)
    row = FailedSignIns.objects.select_for_update().filter(kind=kind, name=name).first()
    if row is None:
        raise NotFound(f"The {Kind(kind).label} {name!r} is not locked: there was no failed sign-in lately.")
    before = {"failures": row.failures, "refused": row.refused, "locked_until": row.locked_until}
    row.delete()
    audit(
        kind="sign_in.unlocked",
        subject=_subject(name) if kind == Kind.USER else ("address", name[:64]),
        actor=actor,
        before={"kind": kind, "name": name, **before},
    )
    return row
