"""Pictures of data set images for pages, and the outlines of their masks to lie over them."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageChops, ImageFilter

from records.assets.browser_picture import browser_picture
from records.assets.images import open_rgb, thumbnail
from records.assets.selectors import upload_limits
from records.models import Asset
from training.datasets.layouts.masks import open_mask

SIDE = 240  # pixels, twice what a sheet shows at least
_COLOUR = (255, 229, 0)  # as the report marks an annotated defect


def small(asset: Asset) -> bytes:
    """A JPEG of at most SIDE x SIDE pixels."""
    return thumbnail(open_rgb(asset.read(), upload_limits()), SIDE)


def whole(asset: Asset) -> tuple[bytes, str]:
    """The image in a form that every browser shows, and its media type."""
    return browser_picture(asset.read(), upload_limits())


def outline(mask: Asset) -> bytes:
    """A transparent PNG as large as the thumbnail of the masked image, with a line around what is defective."""
    truth = Image.fromarray(open_mask(mask.read(), upload_limits())).convert("L")
    size = truth.copy()
    size.thumbnail((SIDE, SIDE))
    # Whatever is left of a defect's pixel after the reduction counts, or the small ones would vanish.
    marked = truth.resize(size.size, Image.Resampling.BOX).point(lambda value: 255 if value else 0)
    line = ImageChops.subtract(marked.filter(ImageFilter.MaxFilter(5)), marked)
    picture = Image.new("RGBA", size.size, (*_COLOUR, 0))
    picture.putalpha(line)
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
