"""Pages of accounts."""

from django.urls import path

from accounts.views import settings
from records.audit import views as audit

urlpatterns = [
    path("audit/", audit.history, name="audit"),
    path("audit/verify", audit.verify, name="audit-verify"),
    path("audit/verifications", audit.verify_all, name="audit-verify-all"),
    path("audit/verifications/<int:verification_id>/", audit.verification, name="audit-verification"),
    path("audit/<int:sequence>/", audit.event, name="audit-event"),
    path("settings/", settings.settings_page, name="settings"),
    path("settings/browser", settings.keep_browser, name="settings-browser"),
    path("settings/password", settings.change_password, name="settings-password"),
    path("settings/tokens", settings.issue, name="settings-tokens"),
    path("settings/tokens/<int:token_id>/revoke", settings.revoke, name="settings-revoke"),
]
