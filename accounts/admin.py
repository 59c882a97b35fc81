"""People, tokens and failed sign-ins in the administration. People are managed on the page of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from accounts import selectors, services
from accounts.models import ApiToken, FailedSignIns
from accounts.sign_in import unlock
from common.rights import RIGHTS, Right
from common.web.administration import NONE, Act, NullsLast, Period, ServiceAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(ServiceAdmin):
    """People and their roles, to look at: what changes them is on the page of users, with its reasons."""

    list_display = ["username", "full_name", "email", "roles", "is_active", "valid_tokens", "last_login"]
    list_filter = ["is_active", "groups", "is_superuser"]
    search_fields = ["username", "first_name", "last_name", "email"]
    search_help_text = "name or e-mail"
    ordering = ("username",)
    fields = (
        *("username", "first_name", "last_name", "email", "roles", "is_active", "is_superuser", "last_login"),
        "date_joined",
    )
    readonly_fields = ("roles",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return selectors.users()

    @admin.display(description="full name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or NONE

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all())) or NONE

    @admin.display(description="valid tokens", ordering="valid_tokens")
    def valid_tokens(self, user: Any) -> int:
        return int(user.valid_tokens)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("users"), "Manage users"), (reverse("user-new"), "New user")]

    def links(self, user: User) -> list[tuple[str, str]]:
        return [(reverse("user", args=[user.pk]), "Manage this user")]


@admin.register(Group)
class RoleAdmin(ServiceAdmin):
    """The roles. What each may do stands in the code (common/rights.py), so that nothing here can change it."""

    list_display = ["name", "rights"]
    fields = ("name", "rights")
    readonly_fields = ("rights",)

    @admin.display(description="may")
    def rights(self, group: Group) -> str:
        return ", ".join(sorted(RIGHTS.get(group.name, frozenset())))

    def links(self, group: Group) -> list[tuple[str, str]]:
        return [(f"{reverse('users')}?role={group.name}", "Users with it")]


def _revoke(request: HttpRequest, token: ApiToken, values: Mapping[str, Any]) -> str:
    services.revoke_token(token=token, actor=request.user, reason=values["reason"])
    return f"The token {token.name} was revoked. Programs can no longer use it."


@admin.register(ApiToken)
class ApiTokenAdmin(ServiceAdmin):
    """Tokens are issued by `manage.py create_token` or `POST /api/tokens` (the key is shown once) and revoked here."""

    list_display = ["name", "user", "scopes", "hint", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter), "scopes", Period]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    search_help_text = "name of the token or the user"
    acts = (
        Act(
            "revoke",
            "Revoke",
            Right.ADMINISTER,
            _revoke,
            "Programs can use it no more, from the next request on. It cannot be undone.",
            applies=lambda token: token.is_valid,
            is_dangerous=True,
        ),
    )
    fields = ("name", "user", "scopes", "hint", "created_at", "expires_at", "last_used_at", "revoked_at")

    def links(self, token: ApiToken) -> list[tuple[str, str]]:
        return [(reverse("user", args=[token.user_id]), "User")]


def _unlock(request: HttpRequest, row: FailedSignIns, values: Mapping[str, Any]) -> str:
    unlock(kind=row.kind, name=row.name, actor=request.user)
    return f"{row.name} may try again."


@admin.register(FailedSignIns)
class FailedSignInsAdmin(ServiceAdmin):
    """Who tried and failed lately, by name and by address; the audit has each try."""

    list_display = ["name", "kind", "failures", "since", "until", "refused"]
    list_filter = ["kind"]
    search_fields = ["name"]
    search_help_text = "name or address"
    acts = (Act("unlock", "End the lock-out", Right.ADMINISTER, _unlock),)

    @admin.display(description="locked until", ordering=NullsLast("locked_until"))
    def until(self, row: FailedSignIns) -> Any:
        return row.locked_until
