"""Pages of accounts."""

from django.urls import path

from accounts.views import settings

urlpatterns = [
    path("settings/", settings.settings_page, name="settings"),
    path("settings/browser", settings.keep_browser, name="settings-browser"),
    path("settings/password", settings.change_password, name="settings-password"),
    path("settings/tokens", settings.issue, name="settings-tokens"),
    path("settings/tokens/<int:token_id>/revoke", settings.revoke, name="settings-revoke"),
]
