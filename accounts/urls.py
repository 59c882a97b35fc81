"""Pages of accounts."""

from django.urls import path

from accounts.views import settings, users

urlpatterns = [
    path("settings/", settings.settings_page, name="settings"),
    path("settings/browser", settings.keep_browser, name="settings-browser"),
    path("settings/password", settings.change_password, name="settings-password"),
    path("settings/tokens", settings.issue, name="settings-tokens"),
    path("settings/tokens/<int:token_id>/revoke", settings.revoke, name="settings-revoke"),
    path("users/", users.users, name="users"),
    path("users/new/", users.new, name="user-new"),
    path("users/<int:user_id>/", users.user, name="user"),
    path("users/<int:user_id>/<slug:act>", users.act, name="user-act"),
    path("users/<int:user_id>/tokens/<int:token_id>/revoke", users.revoke, name="user-revoke"),
]
