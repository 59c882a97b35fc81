"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from accounts import sign_in
from mvtec_site.errors import UserError


class SignInForm(AuthenticationForm):
    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password:
            assert self.request is not None, "the view passes it"
            try:
                self.user_cache = sign_in.try_password(request=self.request, username=username, password=password)
            except UserError as error:
                raise ValidationError(error.detail, code=error.code) from error
        return self.cleaned_data


class SignIn(LoginView):
    template_name = "login.html"
    form_class = SignInForm
    redirect_authenticated_user = True


class SignOut(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if isinstance(request.user, User):
            sign_in.note_sign_out(user=request.user)
        return super().post(request, *args, **kwargs)
