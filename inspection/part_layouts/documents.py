"""The JSON shape of a part layout."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from inspection.models import PartLayout


def layout_document(layout: PartLayout) -> dict[str, Any]:
    return {
        "name": layout.name,
        "revision": layout.revision,
        "url": reverse("api-part-layout", args=[layout.name]),
        "time_limit_seconds": layout.time_limit_seconds,
        "in_use": layout.in_use,
        "views": [
            {"name": view.name, "category": view.category.name, "station": view.station}
            for view in sorted(layout.views.all(), key=lambda view: view.position)
        ],
        "reason": layout.reason,
        "author": layout.author.get_username() if layout.author else None,
        "created_at": layout.created_at.isoformat(),
    }
