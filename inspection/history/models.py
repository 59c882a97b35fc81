"""Filters of the history that people keep."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class SavedView(models.Model):
    """A filter of the history that one person keeps under a name. What it finds is looked up each time it is opened."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views", db_index=False
    )
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, help_text="query string of the history's page")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            # also serves "the views of this person, by name"
            models.UniqueConstraint(fields=["owner", "name"], name="view_name_is_unique_for_its_owner"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(query=""), name="view_has_a_name_and_a_filter"),
        ]

    def __str__(self) -> str:
        return self.name
