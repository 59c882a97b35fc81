"""Pages of data sets."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_noop as _
from django.views.decorators.http import require_GET

from common.api.pagination import read_page
from common.api.views import immutable
from common.errors import UserError
from common.rights import Right
from common.web.addresses import or_404, query_string
from common.web.decorators import needs
from training.datasets import documents, pages, selectors, thumbnails
from training.runs import pages as runs_pages

_SPLITS = ("train", "test")
# How masks are shown on the sheet of a data set; the first is the default.
_MASKS = {"outline": _("Outlined"), "beside": _("Beside"), "none": _("Not shown")}


# ---------------------------------------------------------------- data sets
@needs(Right.READ)
def list_page(request: HttpRequest, *, status: int = HTTPStatus.OK, **extra: Any) -> HttpResponse:
    """Every snapshot, and what came of an upload that was refused."""
    category = request.GET.get("category", "").replace("\0", "")
    context: dict[str, Any] = {
        "category": category,
        "categories": pages.categories(),
        "most_images": settings.DATASET_MAX_FILES,
        **extra,
    }
    try:
        page = read_page(pages.snapshots(category), request)
    except UserError as error:
        context["lost"], status = error, error.status
    else:
        context |= page.queries | {"datasets": pages.count(page.rows)}
    return render(request, "datasets/list.html", context, status=status)


@require_GET
@needs(Right.READ)
def dataset(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """What a snapshot is made of, and its images by split and kind."""
    snapshot = or_404(pages.find_dataset, dataset_id)
    parts = pages.composition(snapshot)
    kinds = list(dict.fromkeys(part.defect_type for part in parts))
    split, kind = request.GET.get("split", ""), request.GET.get("kind", "")
    masks = request.GET.get("masks", "")
    status: int = HTTPStatus.OK
    context: dict[str, Any] = {
        "dataset": snapshot,
        "parts": parts,
        "total": sum(part.n for part in parts),
        "defective": sum(part.n for part in parts if part.is_defective),
        "mask_count": sum(part.masks for part in parts),
        "training_images": sum(part.n for part in parts if part.split == "train"),
        "skipped": snapshot.report.get("skipped", []),
        "skipped_count": snapshot.report.get("skipped_count", 0),
        "warnings": snapshot.report.get("warnings", []),
        "understood": snapshot.report.get("preview", {}),
        "runs": runs_pages.runs_on(snapshot),
        "split": split,
        "kind": kind,
        "masks": masks if masks in _MASKS else next(iter(_MASKS)),
        "chips": _image_chips(request, kinds, has_masks=any(part.masks for part in parts)),
    }
    if (split and split not in _SPLITS) or (kind and kind not in kinds):
        context["nothing"] = True
    else:
        try:
            images = documents.images(snapshot, split=split, defect_type=kind)
            page = read_page(images, request, ordering=("path",))
        except UserError as error:
            context["lost"], status = error, error.status
        else:
            context |= page.queries | {"images": page.rows}
    return render(request, "datasets/one.html", context, status=status)


def _image_chips(request: HttpRequest, kinds: list[str], *, has_masks: bool) -> list[tuple[str, list[dict[str, Any]]]]:
    """The filters as links: (what is chosen, the choices)."""
    query = {name: request.GET.get(name, "") for name in ("split", "kind", "masks")}

    def choices(name: str, values: list[tuple[str, str]], default: str = "") -> list[dict[str, Any]]:
        now = query[name] or default
        return [
            {
                "words": words,
                "on": value == now,
                "address": query_string({**query, name: "" if value == default else value}) or request.path,
            }
            for value, words in values
        ]

    chips = [
        (_("Split"), choices("split", [("", _("All")), ("train", _("Training")), ("test", _("Test"))])),
        (_("Kind"), choices("kind", [("", _("All")), *((kind, kind) for kind in kinds)])),
    ]
    if has_masks:
        chips.append((_("Masks"), choices("masks", list(_MASKS.items()), next(iter(_MASKS)))))
    return chips


@require_GET
@needs(Right.READ)
def thumbnail(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """A small picture of an image. It never changes."""
    asset = or_404(selectors.find_image, image_id).asset
    if asset.discarded_at is not None:
        raise Http404("The file was deleted by retention.")
    return immutable(
        request,
        f"thumbnail {asset.sha256}",
        lambda: HttpResponse(thumbnails.small(asset), content_type="image/jpeg"),
    )


@require_GET
@needs(Right.READ)
def picture(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """An image as every browser shows it. It never changes."""
    asset = or_404(selectors.find_image, image_id).asset
    if asset.discarded_at is not None:
        raise Http404("The file was deleted by retention.")

    def shown() -> HttpResponse:
        data, media_type = thumbnails.whole(asset)
        return HttpResponse(data, content_type=media_type)

    return immutable(request, f"picture {asset.sha256}", shown)


@require_GET
@needs(Right.READ)
def outline(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """What is defective in an image, as a line to lie over its thumbnail. It never changes."""
    mask = or_404(selectors.find_image, image_id).mask
    if mask is None or mask.discarded_at is not None:
        raise Http404("This image has no mask, or it was deleted.")
    return immutable(
        request,
        f"outline {mask.sha256}",
        lambda: HttpResponse(thumbnails.outline(mask), content_type="image/png"),
    )
