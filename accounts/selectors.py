"""Reads: which token a key belongs to, what is told of users and tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import ApiToken, FailedSignIns, TemporaryPassword, digest_of
from common.errors import NotFound
from common.rights import Right, may, require, rights_of, roles_with


class TokenNotFound(NotFound):
    code = "token_not_found"


class UserNotFound(NotFound):
    code = "user_not_found"


EVERYBODY = "*"  # no user name may be spelt so


def valid_token(secret: str) -> ApiToken | None:
    """The token of this key, unless it is unknown, revoked, expired or its user is switched off."""
    token = ApiToken.objects.select_related("user").filter(digest=digest_of(secret)).first()
    return token if token and token.is_valid and token.user.is_active else None


def find_user(username: str) -> User:
    """Raises `UserNotFound`."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise UserNotFound(f"There is no user {username!r}. Create one with manage.py create_user.")
    return user


def find_user_by_id(user_id: int) -> Any:
    """A row of `users`. Raises `UserNotFound`."""
    user = users().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound(f"There is no user {user_id}.")
    return user


def users(*, search: str = "", role: str = "", active: bool | None = None) -> QuerySet[User]:
    """People by name, with `valid_tokens`, whether they are `locked` out and their password is `temporary`."""
    now = timezone.now()
    locked = FailedSignIns.objects.filter(kind=FailedSignIns.Kind.USER, name=OuterRef("username"), locked_until__gt=now)
    is_valid = Q(api_tokens__revoked_at=None) & (Q(api_tokens__expires_at=None) | Q(api_tokens__expires_at__gt=now))
    rows = User.objects.prefetch_related("groups").annotate(
        valid_tokens=Count("api_tokens", filter=is_valid, distinct=True),
        locked=Exists(locked),
        temporary=Exists(TemporaryPassword.objects.filter(user=OuterRef("pk"))),
    )
    if search:
        columns = ("username", "first_name", "last_name", "email")
        matches = Q()
        for column in columns:
            matches |= Q(**{f"{column}__icontains": search})
        rows = rows.filter(matches)
    if role:
        rows = rows.filter(pk__in=User.objects.filter(groups__name=role).values("pk"))
    return rows if active is None else rows.filter(is_active=active)


def administrators() -> QuerySet[User]:
    """Who may administer now."""
    in_role = User.objects.filter(groups__name__in=roles_with(Right.ADMINISTER)).values("pk")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=in_role), is_active=True)


def has_temporary_password(user: User) -> bool:
    return TemporaryPassword.objects.filter(user=user).exists()


def token_owner(username: str, *, requested_by: User) -> User:
    """Whose token is meant: one's own, where no other user is named. Only an admin is told whether another exists."""
    if not username or username == requested_by.username:
        return requested_by
    require(requested_by, Right.ADMINISTER)
    return find_user(username)


def tokens_of(someone: User, *, of: str = "") -> QuerySet[ApiToken]:
    """One's own tokens, revoked ones too; for an admin also those `of` a user, or of everybody (`*`)."""
    tokens = ApiToken.objects.select_related("user")
    if of == EVERYBODY:
        require(someone, Right.ADMINISTER)
        return tokens
    return tokens.filter(user=token_owner(of, requested_by=someone))


def find_token(token_id: int, *, visible_to: User) -> ApiToken:
    """Raises `TokenNotFound`, also for tokens of others, except to an admin."""
    tokens = ApiToken.objects.select_related("user").filter(pk=token_id)
    if not may(visible_to, Right.ADMINISTER):
        tokens = tokens.filter(user=visible_to)
    token = tokens.first()
    if token is None:
        raise TokenNotFound("There is no such token.")
    return token


def token_document(token: ApiToken) -> dict[str, Any]:
    """Everything about a token but its key."""
    return {
        "id": token.pk,
        "user": token.user.username,
        "name": token.name,
        "hint": token.hint,
        "scopes": token.scope_list,
        "valid": token.is_valid,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    }


def roles_of(user: User) -> list[str]:
    return sorted(user.groups.values_list("name", flat=True))


def me_document(user: User, token: ApiToken | None) -> dict[str, Any]:
    """Who is asking, and what they may do here and now."""
    return {
        "username": user.username,
        "roles": roles_of(user),
        "is_superuser": user.is_superuser,
        "rights": sorted(rights_of(user)),
        "token": token
        and {"id": token.pk, "name": token.name, "scopes": token.scope_list, "expires_at": token.expires_at},
    }


def user_document(user: User) -> dict[str, Any]:
    """What the audit tells of a user: never the password, not even its hash."""
    return {
        "username": user.username,
        "roles": roles_of(user),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_staff": user.is_staff,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
    }
