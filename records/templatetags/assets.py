"""An asset, as the templates ask for it."""

from __future__ import annotations

from django import template

from records.models import Asset

register = template.Library()


@register.filter
def has_file(asset: Asset | None) -> bool:
    """Whether there is a file, and retention has not removed it."""
    return asset is not None and asset.discarded_at is None
