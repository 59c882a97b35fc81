"""The administration site: for those who may administer, through the same door as everything else."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.views.sign_in import SignOut
from common.rights import Right, may
from common.web.decorators import refusal

# What apps are called, in the order of the index; the people of Django's own app stand with ours.
_APPS = {
    "modelzoo": "Models",
    "training": "Training",
    "inspection": "Inspection",
    "tuning": "Re-scoring and replay",
    "monitoring": "Monitoring",
    "quality": "Quality",
    "retention": "Retention",
    "records": "Files and audit log",
    "accounts": "Users and tokens",
}
_WITH = {"auth": "accounts"}


class Administration(admin.AdminSite):
    enable_nav_sidebar = False

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Models by app, each under the word that the site has for it."""
        together: dict[str, Any] = {}
        for app in super().get_app_list(request, app_label):
            label = _WITH.get(app["app_label"], app["app_label"])
            group = together.setdefault(label, app | {"app_label": label, "name": _APPS.get(label, app["name"])})
            if group["models"] is not app["models"]:
                group["models"] += app["models"]
        order = list(_APPS)
        known, others = [each for each in order if each in together], [each for each in together if each not in order]
        return [together[label] for label in (*known, *others)]

    def has_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Right.ADMINISTER)

    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """No second form: who has not signed in is sent to the one there is, who has and may not is told so."""
        if request.user.is_authenticated and not self.has_permission(request):
            return refusal(request, Right.ADMINISTER)
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def logout(  # type: ignore[override]  # the stubs promise more than Django does
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return SignOut.as_view()(request)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """No second form here either: one's own password is changed in the settings, where guesses are counted."""
        return redirect("settings")
