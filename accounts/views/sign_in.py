"""Signing in and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from accounts import sign_in
from accounts.middleware import CHANGE_PASSWORD, is_from_script
from accounts.selectors import has_temporary_password
from common.errors import UserError


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


@method_decorator([sensitive_post_parameters(), never_cache, csrf_protect, login_not_required], name="dispatch")
class SignIn(LoginView):
    """A page of its own; the dialog over a page whose session is over sends the same form and gets JSON."""

    template_name = "accounts/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_from_script(request) and request.user.is_authenticated:  # in another tab, meanwhile
            return _session_document(request)
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"unsent": self.request.GET.get("unsent", "")}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        answer = super().form_valid(form)
        if has_temporary_password(form.get_user()):
            self.request.session[CHANGE_PASSWORD] = True
        return _session_document(self.request) if is_from_script(self.request) else answer

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        if not is_from_script(self.request):
            return super().form_invalid(form)
        errors = [str(error) for error in form.non_field_errors()] or [_("Enter user name and password.")]
        return JsonResponse({"user": None, "errors": errors}, status=HTTPStatus.UNPROCESSABLE_ENTITY)


class SignOut(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if isinstance(request.user, User):
            sign_in.note_sign_out(user=request.user)
        return super().post(request, *args, **kwargs)


@never_cache
@require_GET
@login_not_required
def session(request: HttpRequest) -> HttpResponse:
    """Who is signed in at this browser by now, null for nobody, and the CSRF token that its forms need."""
    return _session_document(request)


def _session_document(request: HttpRequest) -> JsonResponse:
    user = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": user, "csrf": get_token(request)})
