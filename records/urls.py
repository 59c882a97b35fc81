"""Pages of the audit log."""

from django.urls import path

from records.audit import views

urlpatterns = [
    path("audit/", views.history, name="audit"),
    path("audit/verify", views.verify, name="audit-verify"),
    path("audit/verifications", views.verify_all, name="audit-verify-all"),
    path("audit/verifications/<int:verification_id>/", views.verification, name="audit-verification"),
    path("audit/<int:sequence>/", views.event, name="audit-event"),
]
