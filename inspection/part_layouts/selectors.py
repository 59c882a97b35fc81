"""Reads: the part layouts in force and their revisions."""

from __future__ import annotations

from django.db.models import Max, QuerySet

from common.errors import NotFound
from inspection.models import PartLayout


def layouts(*, retired: bool = False) -> QuerySet[PartLayout]:
    """The revision in force of each name, by name; those that are retired only where they are asked for."""
    newest = PartLayout.objects.order_by().values("name").annotate(last=Max("pk")).values("last")
    rows = PartLayout.objects.filter(pk__in=newest).select_related("author").prefetch_related("views__category")
    return (rows if retired else rows.filter(in_use=True)).order_by("name")


def revisions_of(name: str) -> QuerySet[PartLayout]:
    """Newest first."""
    rows = PartLayout.objects.filter(name=name).select_related("author").prefetch_related("views__category")
    return rows.order_by("-revision")


def find_layout(name: str) -> PartLayout:
    """The revision in force, also of a retired one. Raises `NotFound`."""
    layout = revisions_of(name).first()
    if layout is None:
        raise NotFound(
            f"There is no part layout {name[:100]}. Nothing was done. The layouts are listed at /api/part-layouts.",
            code="part_layout_not_found",
        )
    return layout
