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


class Administration(admin.AdminSite):
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
