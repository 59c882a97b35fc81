"""Pages: painting what is not judged on a mean good image."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from common.api.views import immutable
from common.errors import UserError
from common.rights import Right
from common.web.addresses import or_404, query_string, whole_number
from common.web.decorators import needs
from modelzoo.models import ModelVersion
from training.datasets import pages as datasets_pages
from training.runs.ignore_masks import pages, pictures
from training.runs.ignore_masks.services import MaskRejected, find_mask, receive_mask

_DATA_URL = "data:image/png;base64,"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def editor(request: HttpRequest) -> HttpResponseBase:
    """Paint on the mean image of `?dataset=`, or on the aligned one of `?version=`; `?mask=` goes on from a stored one.

    What was painted is stored, and the form of a new run opened with it; `?like=` is handed on to that form.
    """
    number = {name: whole_number(request.GET.get(name, "")) for name in ("dataset", "version", "like")}
    version = or_404(pages.version_by_id, number["version"]) if number["version"] else None
    dataset = or_404(datasets_pages.find_dataset, number["dataset"]) if number["dataset"] else None
    if version is None and dataset is None:
        raise Http404("Choose a data set or a version whose mean image is painted on.")
    status: int = HTTPStatus.OK
    failed: UserError | None = None
    if request.method == "POST":
        try:
            mask = receive_mask(data=_png(request.POST.get("mask", "")), filename="mask.png", actor=request.user)
        except UserError as error:
            status, failed = error.status, error
        else:
            query = {"dataset": dataset and dataset.pk, "like": number["like"], "ignore_mask": mask.sha256}
            query["ignore_mask_version"] = version and version.pk
            return redirect(reverse("training-new") + query_string(query))
    start = request.POST.get("mask", "") if failed else _stored(request.GET.get("mask", ""), version)
    context = {
        "version": version,
        "dataset": dataset,
        "picture": pages.mean_image_address(version, dataset),
        "start": start,
        "failed": failed,
        "back": reverse("model", args=[version.pk])
        if version
        else reverse("training-new") + query_string({"dataset": dataset and dataset.pk, "like": number["like"]}),
    }
    return render(request, "training/ignore_mask.html", context, status=status)


def _png(text: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix(_DATA_URL), validate=True)
    except binascii.Error as error:
        raise MaskRejected("What was painted did not arrive. Nothing was stored. Save it again.") from error


def _stored(sha256: str, version: ModelVersion | None) -> str:
    """The address of the mask that painting begins with; nothing where it begins with none."""
    if sha256:
        return reverse("ignore-mask", args=[or_404(find_mask, sha256).sha256])  # type: ignore[arg-type]
    if version is not None and version.preprocessing.get("ignore_mask"):
        return reverse("model-version-ignore-mask", args=[version.pk])
    return ""


@require_GET
@needs(Right.READ)
def mean_image(request: HttpRequest, dataset_id: int) -> HttpResponseBase:
    """The mean image of a data set. It never changes."""
    dataset = or_404(datasets_pages.find_dataset, dataset_id)
    return immutable(
        request,
        f"mean {dataset.pk} {dataset.snapshot}",
        lambda: HttpResponse(pictures.mean_image(dataset), content_type="image/png"),
    )
