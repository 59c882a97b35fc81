"""Addresses. `/api/` for programs, the rest for people."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.providers import views as providers
from accounts.views.sign_in import SignIn, SignOut, session
from common.version import PRODUCT
from mvtec_site import views
from mvtec_site.health import views as health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("login/", SignIn.as_view(), name="login"),
    path("login/oidc/", providers.Begin.as_view(), name="oidc"),
    path("login/oidc/callback", providers.callback, name="oidc-callback"),
    path("logout/", SignOut.as_view(), name="logout"),
    path("session", session, name="session"),
    path("admin/", admin.site.urls),
    # DRF decides who may read these: a token is as good as a session.
    path("api/schema", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="site/api_docs.html"),
        name="api-docs",
    ),
    *(
        path("api/", include(f"{app}.api.urls"))
        for app in (
            *("records", "accounts", "modelzoo", "training", "inspection", "tuning", "retention", "monitoring"),
            *("rollout", "quality", "reports", "edge"),
        )
    ),
    path("", include("inspection.urls")),
    path("", include("accounts.urls")),
    path("", include("records.urls")),
    path("", include("retention.urls")),
    path("", include("rollout.urls")),
    path("", include("quality.urls")),
    path("", include("reports.urls")),
    path("", include("monitoring.urls")),
    path("", include("edge.urls")),
    path("docs/problems", views.problem_list, name="problems"),
    path("help/", views.help_page, name="help"),
    path("", include("modelzoo.urls")),
    path("", include("tuning.urls")),
    path("", include("training.urls")),
]

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.server_error
admin.site.site_header = f"{PRODUCT}: administration"
admin.site.site_title = PRODUCT
