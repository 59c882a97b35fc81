"""Writes: whom a provider signs in, as which user, with which roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import ExternalIdentity
from accounts.selectors import user_document
from accounts.services import change_roles, report_user
from common.context import current
from common.errors import Conflict, UserError
from common.rights import Right, require
from records.audit.services import Actor, audit

Kind = ExternalIdentity.Kind


class SignInRefused(UserError):
    """The provider knows the person, and they may not come in here."""

    code = "sign_in_refused"
    status = HTTPStatus.FORBIDDEN


class ProviderUnavailable(UserError):
    code = "provider_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Person:
    """Whom a provider vouches for. `issuer` and `subject` say who it is, for ever; the rest may change."""

    kind: str
    issuer: str
    subject: str
    username: str
    groups: tuple[str, ...] = ()
    first_name: str = ""
    last_name: str = ""
    email: str = ""  # empty where the provider did not verify it
    details: Mapping[str, str] = field(default_factory=dict)


def roles_of_groups(groups: Iterable[str], mapping: Mapping[str, str]) -> list[str]:
    """The roles that these groups give. Names of groups are compared without their case."""
    by_group = {group.casefold(): role for group, role in mapping.items()}
    return sorted({by_group[group.casefold()] for group in groups if group.casefold() in by_group})


def sign_in_person(*, person: Person, roles: list[str], provider: str) -> User:
    """The user of this person, with exactly these roles and the details that the provider has.

    A person is known by issuer and subject alone: neither an equal user name nor an equal e-mail address makes somebody
    the owner of an account that is there already. Raises `SignInRefused`, which is audited.
    """
    try:
        return _sign_in(person=person, roles=roles, provider=provider)
    except SignInRefused as refusal:
        report_refusal(person=person, provider=provider, cause=refusal.detail)
        raise


@transaction.atomic
def report_refusal(*, person: Person | None, provider: str, cause: str) -> None:
    after = {"provider": provider, "address": current().address, "cause": cause[:500]}
    known = _identity(person).first() if person else None
    if person:
        after |= {"username": person.username[:150], "issuer": person.issuer[:200], "subject": person.subject[:255]}
    audit(kind="sign_in.refused", subject=known.user if known else ("auth.user", ""), actor=None, after=after)


def _identity(person: Person):  # type: ignore[no-untyped-def]
    return ExternalIdentity.objects.filter(
        kind=person.kind, issuer=person.issuer, subject=person.subject
    ).select_related("user")


def _sign_in(*, person: Person, roles: list[str], provider: str) -> User:
    with transaction.atomic():
        identity = _identity(person).select_for_update(of=("self",)).first()
        user = identity.user if identity else None
        if user is not None and not user.is_active:
            raise SignInRefused(f"Your account {user.username} is deactivated. Ask an administrator of this system.")
        if user is None and not roles:
            raise SignInRefused(_no_role(provider))
        if user is None:
            user = _create(person, provider)
        else:
            _update(user, person, provider)
        _set_roles(user, roles, provider)
        if roles:
            ExternalIdentity.objects.filter(user=user).update(last_used_at=timezone.now())
            after = {"address": current().address, "provider": provider}
            audit(kind="sign_in.succeeded", subject=user, actor=user, after=after, changes_subject=False)
    if not roles:  # the roles that were taken away stay away
        raise SignInRefused(_no_role(provider))
    return user


def _no_role(provider: str) -> str:
    return (
        f"{provider} knows you, but none of your groups there has a role here, so you may not come in. Ask an "
        "administrator for a group that has one."
    )


def _create(person: Person, provider: str) -> User:
    user = User(
        username=User.normalize_username(person.username),
        first_name=person.first_name[:150],
        last_name=person.last_name[:150],
        email=person.email,
    )
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise SignInRefused(
            f"{provider} sends a name or an e-mail address that no account can have ({' '.join(error.messages)}). "
            "No account was made. Ask an administrator."
        ) from error
    user.set_unusable_password()
    taken = SignInRefused(
        f"There is an account named {user.username} here that does not belong to your sign-in with {provider}. Nothing "
        "was changed. If it is yours, ask an administrator to link it (manage.py link_identity)."
    )
    if User.objects.filter(username__iexact=user.username).exists():
        raise taken
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:  # somebody was faster with this name
        raise taken from error
    ExternalIdentity.objects.create(user=user, kind=person.kind, issuer=person.issuer, subject=person.subject)
    report_user(user=user, before=None, actor=None)
    return user


def _update(user: User, person: Person, provider: str) -> None:
    """What the provider says of the person; the user name stays, because records name it."""
    before = user_document(user)
    user.first_name, user.last_name = person.first_name[:150], person.last_name[:150]
    user.email = person.email or user.email
    try:
        user.clean_fields(exclude=["password", "username"])
    except ValidationError:
        user.refresh_from_db()
        return
    user.save(update_fields=["first_name", "last_name", "email"])
    report_user(user=user, before=before, actor=None, reason=f"as {provider} says")


def _set_roles(user: User, roles: list[str], provider: str) -> None:
    try:
        change_roles(user=user, roles=roles, reason=f"groups of {provider}")
    except Conflict as error:
        raise SignInRefused(
            f"Your groups at {provider} no longer make you an administrator, and you are the last one. Nothing was "
            "changed. Make somebody else an administrator first (manage.py set_roles)."
        ) from error


@transaction.atomic
def link_identity(*, user: User, kind: str, issuer: str, subject: str, actor: Actor) -> ExternalIdentity:
    """From now on who signs in there as `subject` is this user. Raises `Conflict` where either has another one."""
    require(actor, Right.ADMINISTER)
    if kind not in set(Kind) or not issuer or not subject:
        raise UserError("A link needs a kind of provider, its issuer and the person's subject. Nothing was changed.")
    try:
        with transaction.atomic():
            identity = ExternalIdentity.objects.create(user=user, kind=kind, issuer=issuer, subject=subject)
    except IntegrityError as error:
        raise Conflict(
            f"{user.username} or {subject} is linked already. Nothing was changed. One user is one person there."
        ) from error
    after = {"username": user.username, "kind": kind, "issuer": issuer, "subject": subject}
    audit(kind="user.linked", subject=user, actor=actor, after=after)
    return identity
