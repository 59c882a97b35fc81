from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts import services
from accounts.models import ApiToken, FailedSignIns
from accounts.selectors import user_document
from accounts.sign_in import unlock
from common.rights import RIGHTS
from records.admin import ReadOnlyAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(UserAdmin):
    """People and their roles. Nobody is deleted, because records name them: switch off `active` instead."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "groups", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ("groups",)
    list_display = ("username", "first_name", "last_name", "roles", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "groups", "is_superuser")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Django's admin saves the row here and its groups in `save_related`, both in one transaction."""
        form.user_before = user_document(User.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        services.report_user(user=form.instance, before=form.user_before, actor=request.user)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        user = self.get_object(request, unquote(id))  # as Django reads it
        if user is None:
            return super().user_change_password(request, id, form_url)
        with services.reporting_password(user=user, actor=request.user):
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """The roles. What each may do stands in the code (common/rights.py), so that nothing here can change it."""

    list_display = ["name", "rights"]
    fields = ["name", "rights"]

    @admin.display(description="may")
    def rights(self, group: Group) -> str:
        return ", ".join(sorted(RIGHTS.get(group.name, frozenset())))


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens are issued by `manage.py create_token` or `POST /api/tokens` (the key is shown once) and revoked here."""

    list_display = ["name", "user", "scopes", "hint", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_filter = ["revoked_at", "scopes"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    @admin.action(description="Revoke selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            services.revoke_token(token=token, actor=request.user)
        self.message_user(request, "Revoked.", messages.SUCCESS)


@admin.register(FailedSignIns)
class FailedSignInsAdmin(ReadOnlyAdmin):
    """Who tried and failed lately, by name and by address; the audit has each try."""

    list_display = ["kind", "name", "failures", "since", "locked_until", "refused"]
    list_filter = ["kind"]
    search_fields = ["name"]
    actions = ["unlock"]

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.delete_failedsignins")

    @admin.action(description="End the lock-out of selected names and addresses", permissions=["unlock"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[FailedSignIns]) -> None:
        for row in queryset:
            unlock(kind=row.kind, name=row.name, actor=request.user)
        self.message_user(request, "They may try again.", messages.SUCCESS)
