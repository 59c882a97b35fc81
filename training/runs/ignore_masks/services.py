"""Writes: a mask of what is ignored, checked and stored as a black and white picture."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO

import numpy as np
from PIL import Image

from common.errors import Conflict, NotFound, UserError
from common.rights import Right, require
from modelzoo.models import ModelVersion
from records.assets.services import check_upload, save_asset_row, store_file
from records.audit.services import Actor
from records.models import Asset
from training.models import Dataset, DatasetImage

# A mask that leaves less of the picture than this leaves nothing to judge.
MIN_JUDGED_SHARE = 0.01
# The sides of a smaller copy of an image are rounded.
MAX_ASPECT_DIFFERENCE = 0.02
# In a JPEG black is not quite black; in what loses nothing it is.
_JPEG_BLACK = 127


class MaskRejected(UserError):
    """What was sent is no mask of what is ignored."""

    code = "ignore_mask_rejected"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


def receive_mask(*, data: bytes, filename: str, actor: Actor) -> Asset:
    """Store what was painted or sent as a mask: what is not black is ignored. The same mask twice is one file.

    Raises `Forbidden`, `ImageRejected` for what is no image that can be judged here (kind, size, several pictures in
    one file), and `MaskRejected` where it ignores nothing or everything.
    """
    require(actor, Right.TRAIN)
    facts, image = check_upload(data=data, filename=filename, actor=actor)
    levels = np.asarray(image)
    brightest = levels if levels.ndim == 2 else levels.max(axis=2)
    ignored = brightest > (_JPEG_BLACK if facts.format == "JPEG" else 0)
    check_share(float(ignored.mean()))
    out = BytesIO()
    Image.fromarray(ignored).save(out, "PNG", optimize=True)
    height, width = ignored.shape
    return save_asset_row(
        store_file(data=out.getvalue(), extension="png", content_type="image/png", width=width, height=height)
    )


def check_share(share: float) -> None:
    """Raises `MaskRejected` for a mask that ignores nothing, or leaves nothing to judge."""
    if share <= 0:
        raise MaskRejected("The mask is black all over: nothing would be ignored. Nothing was started.")
    if share > 1 - MIN_JUDGED_SHARE:
        raise MaskRejected(
            f"The mask ignores {100 * share:.4g} % of the image: nothing would be judged. Nothing was started. "
            "Paint what is not to be judged white, and leave the rest black."
        )


def find_mask(sha256: str) -> Asset:
    """A stored mask. Raises `NotFound`, and `MaskRejected` for a stored file that is no mask."""
    asset = Asset.objects.filter(sha256=sha256, content_type="image/png").first()
    if asset is None or asset.discarded_at is not None:
        raise NotFound(f"There is no stored mask {sha256[:12]}. Send the mask itself.", code="ignore_mask_not_found")
    check_share(float(read_mask(asset).mean()))
    return asset


def read_mask(asset: Asset) -> np.ndarray:
    """bool [h,w], true where nothing is judged. Raises `MaskRejected` where the file is not black and white."""
    with Image.open(BytesIO(asset.read()), formats=("PNG",)) as image:
        if image.mode != "1":
            raise MaskRejected(f"The file {asset.sha256[:12]} is not a mask: it is not black and white.")
        return np.array(image)


def check_fits(asset: Asset, *, dataset: Dataset, version: ModelVersion | None) -> None:
    """Raises `MaskRejected` or `Conflict` where a mask cannot have been painted on what it is said to belong to.

    Args:
        version: on whose aligned mean image it was painted; None: on the images of the data set as they are.
    """
    if version is not None:
        if version.category_id != dataset.category_id:
            raise Conflict(
                f"The mask was drawn on {version}, but {dataset} is of category {dataset.category.name}. "
                "Nothing was started.",
                code="other_category",
            )
        if size := version.preprocessing.get("input_size"):  # what older versions do not tell, the run does
            _check_aspect(asset, size[1], size[0], f"the mean image of {version}")
        return
    train = DatasetImage.objects.filter(dataset=dataset, split=DatasetImage.Split.TRAIN)
    sizes = train.values_list("asset__width", "asset__height").order_by().distinct()
    for width, height in sizes[:1000]:
        _check_aspect(asset, width, height, f"the images of {dataset}")


def _check_aspect(asset: Asset, width: int, height: int, what: str) -> None:
    if abs(asset.width * height / (asset.height * width) - 1) > MAX_ASPECT_DIFFERENCE:
        raise MaskRejected(
            f"The mask has {asset.width} x {asset.height} pixels, which is another shape than {what} "
            f"({width} x {height}). Nothing was started. Use a mask of the size or the shape of the images.",
            code="ignore_mask_mismatch",
        )
