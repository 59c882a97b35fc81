"""What Django's own permissions mean here."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission

from common.rights import Right, may


class RoleBackend(ModelBackend):
    """Who may administer has every permission of Django's admin; nobody else has any, whatever a table says."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return may(user_obj, Right.ADMINISTER)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return may(user_obj, Right.ADMINISTER)

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not may(user_obj, Right.ADMINISTER):
            return set()
        pairs = Permission.objects.values_list("content_type__app_label", "codename").order_by()
        return {f"{app}.{name}" for app, name in pairs}
