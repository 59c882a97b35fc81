"""Connections, their secrets, and how they are."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from modelzoo.models import Category

MAX_NAME = 100
_USER = settings.AUTH_USER_MODEL  # a field of a connection has the name of Django's settings


class Connection(models.Model):
    """Something at the line that verdicts go to, or triggers and pictures come from. Never deleted, only disabled."""

    name = models.CharField(max_length=MAX_NAME)
    kind = models.CharField(max_length=20)
    station = models.CharField(max_length=100, blank=True, help_text="whose verdicts it gets; empty: all stations")
    category = models.ForeignKey(
        Category, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    settings = models.JSONField(default=dict, help_text="as its kind takes them; secrets are rows of their own")
    line_time_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="from the request to the moment from which on the line acts on no verdict"
    )
    is_enabled = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1, help_text="one more with every change")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        _USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="connection_name_is_unique"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(kind=""), name="connection_has_name_and_kind"),
            models.CheckConstraint(
                condition=Q(line_time_ms__isnull=True) | Q(line_time_ms__gte=10, line_time_ms__lte=3_600_000),
                name="line_time_is_10_ms_to_an_hour",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class ConnectionSecret(models.Model):
    """A secret of a connection, encrypted with a key derived from SECRET_KEY. What it says is shown to nobody."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="secrets")
    name = models.CharField(max_length=32)
    sealed = models.TextField()
    fingerprint = models.CharField(max_length=16, help_text="tells whether two are the same, and nothing else")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        _USER, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="until when it holds beside a newer one")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "name"],
                condition=Q(ends_at__isnull=True),
                name="one_secret_of_a_name_has_no_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.connection}"


class ConnectionStatus(models.Model):
    """How a connection is, as the process says that keeps it; nothing here is evidence."""

    class State(models.TextChoices):
        OPENING = "opening"
        OPEN = "open"
        FAILING = "failing"
        STOPPED = "stopped"

    connection = models.OneToOneField(Connection, primary_key=True, on_delete=models.CASCADE, related_name="status")
    state = models.CharField(max_length=8, choices=State.choices, default=State.STOPPED)
    since = models.DateTimeField()
    holder = models.CharField(max_length=200, blank=True, help_text="host and process that keeps it")
    lease_expires_at = models.DateTimeField(null=True, blank=True, help_text="then another process may take it")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="last sign of life of its thread")
    revision = models.PositiveIntegerField(default=0, help_text="of the connection that it runs with")
    error = models.CharField(max_length=500, blank=True, help_text="the last one")
    error_at = models.DateTimeField(null=True, blank=True)
    figures = models.JSONField(default=dict, blank=True, help_text="what its kind counts since it was opened")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["opening", "open", "failing", "stopped"]), name="connection_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.connection_id}: {self.state}"
