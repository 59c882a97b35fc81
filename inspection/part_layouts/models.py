"""Part layouts: which pictures make up the inspection of one part."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from modelzoo.models import Category

MAX_VIEWS = 24
MIN_SECONDS, MAX_SECONDS = 1, 86_400


class PartLayout(models.Model):
    """One revision of how a part is looked at. Append-only: the highest revision of a name is in force.

    A part is judged by the revision that was in force when its first view came.
    """

    name = models.CharField(max_length=100)
    revision = models.PositiveIntegerField()
    time_limit_seconds = models.PositiveIntegerField(help_text="from the first view until all must be there")
    in_use = models.BooleanField(default=True, help_text="false: retired, no new part begins")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "-revision"]
        constraints = [
            # also serves "the revision in force of this name"
            models.UniqueConstraint(fields=["name", "revision"], name="part_layout_revision_is_unique"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="part_layout_revision_from_one"),
            models.CheckConstraint(
                condition=Q(time_limit_seconds__gte=MIN_SECONDS, time_limit_seconds__lte=MAX_SECONDS),
                name="part_layout_time_limit_is_in_range",
            ),
            models.CheckConstraint(condition=~Q(name="") & ~Q(reason=""), name="part_layout_has_name_and_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.name}, revision {self.revision}"


class LayoutView(models.Model):
    """One picture of the part: from where it is taken, and whose model judges it. Append-only, as its layout."""

    layout = models.ForeignKey(PartLayout, on_delete=models.PROTECT, related_name="views", db_index=False)
    position = models.PositiveSmallIntegerField(help_text="from 0, in the order of the page")
    name = models.CharField(max_length=50)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+")
    station = models.CharField(max_length=100, blank=True, help_text="empty: that of the sender")

    class Meta:
        ordering = ["layout", "position"]
        constraints = [
            # also serves "the views of this layout, in order"
            models.UniqueConstraint(fields=["layout", "position"], name="layout_view_position_is_unique"),
            models.UniqueConstraint(fields=["layout", "name"], name="layout_view_name_is_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="layout_view_has_a_name"),
            models.CheckConstraint(condition=Q(position__lt=MAX_VIEWS), name="layout_has_not_too_many_views"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.layout}"
