"""Who may do what: rights, the roles that bundle them, and the scopes that narrow a token down.

A role is one of Django's groups of the same name (made by a migration). What a role may do stands here, in code, so
that no installation can drift away from it unseen. Services call `require`; pages and views ask `may`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from common.errors import UserError


class Right(StrEnum):
    """One thing that somebody may do."""

    INSPECT = "inspect"  # have images judged, singly and in batches
    READ = "read"  # see records, models, thresholds, data sets, runs
    REVIEW = "review"  # confirm or overrule a verdict
    EXPORT = "export"  # take records out, many at a time
    TRAIN = "train"  # import data sets, start and cancel training
    TUNE = "tune"  # set thresholds, score the past again
    DEPLOY = "deploy"  # load, promote, roll back and archive model versions
    CONNECT = "connect"  # edit connections to the line, send dead letters again
    FORWARD = "forward"  # hand over the records of an edge node: its account alone, which has no role
    AUDIT = "audit"  # see the audit log
    ISSUE = "issue"  # issue and revoke tokens of one's own
    ADMINISTER = "administer"  # users, everybody's tokens, retention


class Role(StrEnum):
    OPERATOR = "operator"
    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMIN = "admin"


_OPERATOR = frozenset({Right.INSPECT, Right.READ, Right.REVIEW, Right.ISSUE})
RIGHTS: dict[str, frozenset[Right]] = {
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _OPERATOR | {Right.EXPORT, Right.TRAIN, Right.TUNE, Right.DEPLOY, Right.CONNECT},
    Role.AUDITOR: frozenset({Right.READ, Right.EXPORT, Right.AUDIT, Right.ISSUE}),
    Role.ADMIN: frozenset(Right) - {Right.FORWARD},
}


class Scope(StrEnum):
    """What a token is for. It never gives more than its user has."""

    INSPECT = "inspect"
    READ = "read"
    MANAGE = "manage"


SCOPES: dict[str, frozenset[Right]] = {
    Scope.INSPECT: frozenset({Right.INSPECT, Right.FORWARD}),
    Scope.READ: frozenset({Right.READ, Right.EXPORT, Right.AUDIT}),
    Scope.MANAGE: frozenset(
        {Right.REVIEW, Right.TRAIN, Right.TUNE, Right.DEPLOY, Right.CONNECT, Right.ISSUE, Right.ADMINISTER}
    ),
}

# None: the system itself, or somebody at the server's own command line.
Someone = AbstractBaseUser | AnonymousUser | None


class Forbidden(UserError):
    code = "permission_denied"
    status = 403  # type: ignore[assignment]


def rights_of(someone: Someone) -> frozenset[Right]:
    """What somebody may do: the rights of the roles, within the scopes of the token that was shown.

    Asked once for each object that stands for a user (a request has its own), and remembered there.
    """
    if someone is None:
        return frozenset(Right)
    if not getattr(someone, "is_active", False) or someone.pk is None:
        return frozenset()
    rights: frozenset[Right] | None = getattr(someone, "_rights", None)
    if rights is None:
        rights = frozenset(Right) if someone.is_superuser else _of_groups(someone)  # type: ignore[union-attr]
        someone._rights = rights  # type: ignore[union-attr]
    return rights


def _of_groups(user: Any) -> frozenset[Right]:
    names = user.groups.values_list("name", flat=True)
    return frozenset().union(*(RIGHTS.get(name, frozenset()) for name in names))


def narrow(user: AbstractBaseUser, scopes: list[str]) -> None:
    """Let this object of a user do no more than the scopes allow, wherever it is passed on to."""
    allowed = frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in scopes))
    rights = rights_of(user)
    user._rights = rights & allowed  # type: ignore[attr-defined]
    user._withheld = rights - allowed  # type: ignore[attr-defined]


def confine(user: Someone, *rights: Right) -> None:
    """Let this object of a user do exactly this, whatever its roles are."""
    user._rights = frozenset(rights)  # type: ignore[union-attr]


def may(someone: Someone, *rights: Right) -> bool:
    """Whether somebody has one of these rights."""
    return not rights_of(someone).isdisjoint(rights)


def roles_with(right: Right) -> list[str]:
    return [role for role, rights in RIGHTS.items() if right in rights]


def forbidden(right: Right, someone: Someone = None) -> Forbidden:
    """The refusal: the right and the roles that have it, or the scope that a token of somebody who has it lacks."""
    if right in getattr(someone, "_withheld", ()):
        scope = next(str(scope) for scope, rights in SCOPES.items() if right in rights)
        return Forbidden(
            f"This needs a token with the scope {scope}, which this one lacks; its user has the right to {right}. "
            f"Nothing was changed. Send a token that has the scope {scope}: the settings page and manage.py "
            "create_token make one.",
            right=str(right),
            scope=scope,
        )
    if right == Right.FORWARD:
        return Forbidden(
            "This is for edge nodes: it needs the token of one. Nothing was changed. An administrator makes a node and "
            "its token on the page Edge nodes.",
            right=str(right),
        )
    roles = ", ".join(roles_with(right))
    return Forbidden(
        f"This needs the right to {right}, which the roles {roles} have (and, with a token, its scopes must "
        "include). Nothing was changed. Ask an administrator for it.",
        right=str(right),
    )


def require(someone: Someone, right: Right) -> None:
    """Raises `Forbidden`."""
    if not may(someone, right):
        raise forbidden(right, someone)
