"""Pages of data sets and training. Each view parses, calls one service or a few selectors, renders."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from common.api.base import immutable, read_page
from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from training import browsing
from training.datasets import documents as datasets_documents
from training.datasets import selectors as datasets_selectors
from training.datasets import thumbnails
from training.datasets.imports import Imported, import_upload
from training.datasets.layouts.loose_images import import_images, preview_images
from training.datasets.layouts.scan import LabelNames
from training.models import Dataset, Evaluation, TrainingRun
from training.runs import documents as runs_documents
from training.runs import selectors as runs_selectors
from training.runs import services as runs_services
from training.runs.estimates import remaining_time
from training.runs.forms import RunForm
from training.runs.options import threshold_rule

_SPLITS = ("train", "test")
# How masks are shown on the sheet of a data set; the first is usual.
_MASKS = {"outline": "Outlined", "beside": "Beside", "none": "Not shown"}
_STATES = [("", "All"), *TrainingRun.Status.choices]


# ---------------------------------------------------------------- data sets
@require_http_methods(["GET", "HEAD", "POST"])
def datasets(request: HttpRequest) -> HttpResponseBase:
    """Every snapshot; POST imports an archive."""
    return _upload(request) if request.method == "POST" else _datasets(request)


@needs(Right.READ)
def _datasets(request: HttpRequest, *, status: int = HTTPStatus.OK, **said: Any) -> HttpResponse:
    category = request.GET.get("category", "").replace("\0", "")
    context: dict[str, Any] = {
        "category": category,
        "categories": browsing.categories(),
        "most_images": settings.DATASET_MAX_FILES,
        **said,
    }
    try:
        page = read_page(browsing.snapshots(category), request)
    except UserError as error:
        context["lost"], status = error, error.status
    else:
        context |= _pager(page) | {"datasets": browsing.count(page.rows)}
    return render(request, "datasets.html", context, status=status)


@needs(Right.TRAIN)
def _upload(request: HttpRequest) -> HttpResponseBase:
    """htmx gets the sentence of a refusal, or is sent to what came of it; a plain form the page again."""
    if "act" in request.POST or "images" in request.FILES:
        return _loose_images(request)
    file, name = request.FILES.get("archive"), request.POST.get("name", "").strip()
    try:
        if file is None:
            raise UserError("Choose an archive first: a .zip, .tar, .tar.gz or .tar.xz.", code="no_archive")
        imported = import_upload(file, actor=request.user, name=name, labels=_label_names(request))
    except UserError as error:
        said = {"failed": error, "filename": file.name if file else "", "name": name}
        said |= {"good": request.POST.get("good", ""), "defect": request.POST.get("defect", "")}
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, "datasets.html#refused", said)
        return _datasets(request, status=error.status, **said)
    for item in imported:
        messages.success(request, _told(item))
    only = imported[0].dataset if len(imported) == 1 else None
    address = reverse("dataset", args=[only.pk]) if only else reverse("datasets")
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)  # type: ignore[attr-defined]


def _loose_images(request: HttpRequest) -> HttpResponseBase:
    """Images of good parts: a preview, and the import once that was seen."""
    name, htmx = request.POST.get("name", "").strip(), request.htmx  # type: ignore[attr-defined]
    given: dict[str, Any] = {
        "files": request.FILES.getlist("images"),
        "paths": request.POST.get("paths", ""),
        "name": name,
        "actor": request.user,
    }
    said: dict[str, Any] = {"images_name": name, "most_images": settings.DATASET_MAX_FILES}
    try:
        if request.POST.get("act") == "import":
            imported = import_images(**given)
            messages.success(request, _told(imported))
            address = reverse("dataset", args=[imported.dataset.pk])
            return HttpResponseClientRedirect(address) if htmx else redirect(address)
        said["preview"] = preview_images(**given)
    except UserError as error:
        said["images_failed"] = error
        if not htmx:
            return _datasets(request, status=error.status, **said)
    return render(request, "datasets.html#preview", said) if htmx else _datasets(request, **said)


def _label_names(request: HttpRequest) -> LabelNames:
    """Folder names, separated by commas, that the form says are of good or of defective parts."""
    good, defect = (
        tuple(name.strip() for name in request.POST.get(field, "").split(",") if name.strip())
        for field in ("good", "defect")
    )
    return LabelNames(good, defect)


def _told(item: Imported) -> str:
    if not item.created:
        return f"{item.dataset.name} was imported before with exactly this content: {item.dataset}. Nothing was added."
    skipped, warnings = item.dataset.report.get("skipped_count", 0), len(item.dataset.report.get("warnings", []))
    notes = [f"{skipped} file{'s' if skipped > 1 else ''} skipped"] if skipped else []
    notes += [f"{warnings} warning{'s' if warnings > 1 else ''}"] if warnings else []
    aside = f" ({', '.join(notes)})" if notes else ""
    return f"{item.dataset} was imported{aside}."


@require_GET
@needs(Right.READ)
def dataset(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """What a snapshot is made of, and its images by split and kind."""
    found = _or_404(browsing.find_dataset, dataset_id)
    parts = browsing.composition(found)
    kinds = list(dict.fromkeys(part.defect_type for part in parts))
    split, kind = request.GET.get("split", ""), request.GET.get("kind", "")
    masks = request.GET.get("masks", "")
    status: int = HTTPStatus.OK
    context: dict[str, Any] = {
        "dataset": found,
        "parts": parts,
        "total": sum(part.n for part in parts),
        "defective": sum(part.n for part in parts if part.is_defective),
        "masks_known": sum(part.masks for part in parts),
        "training_images": sum(part.n for part in parts if part.split == "train"),
        "skipped": found.report.get("skipped", []),
        "skipped_count": found.report.get("skipped_count", 0),
        "warnings": found.report.get("warnings", []),
        "runs": browsing.runs_on(found),
        "split": split,
        "kind": kind,
        "masks": masks if masks in _MASKS else next(iter(_MASKS)),
        "chips": _image_chips(request, kinds, has_masks=any(part.masks for part in parts)),
    }
    if (split and split not in _SPLITS) or (kind and kind not in kinds):
        context["nothing"] = True
    else:
        try:
            images = datasets_documents.images(found, split=split, defect_type=kind)
            page = read_page(images, request, ordering=("path",))
        except UserError as error:
            context["lost"], status = error, error.status
        else:
            context |= _pager(page) | {"images": page.rows}
    return render(request, "dataset.html", context, status=status)


def _image_chips(request: HttpRequest, kinds: list[str], *, has_masks: bool) -> list[tuple[str, list[dict[str, Any]]]]:
    """The filters as links: (what is chosen, the choices)."""
    asked = {name: request.GET.get(name, "") for name in ("split", "kind", "masks")}

    def choices(name: str, values: list[tuple[str, str]], usual: str = "") -> list[dict[str, Any]]:
        now = asked[name] or usual
        return [
            {
                "words": words,
                "on": value == now,
                "address": _query({**asked, name: "" if value == usual else value}) or request.path,
            }
            for value, words in values
        ]

    found = [
        ("Split", choices("split", [("", "All"), ("train", "Training"), ("test", "Test")])),
        ("Kind", choices("kind", [("", "All"), *((kind, kind) for kind in kinds)])),
    ]
    if has_masks:
        found.append(("Masks", choices("masks", list(_MASKS.items()), next(iter(_MASKS)))))
    return found


@require_GET
@needs(Right.READ)
def thumbnail(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """A small picture of an image. It never changes."""
    asset = _or_404(datasets_selectors.find_image, image_id).asset
    if asset.discarded_at is not None:
        raise Http404("Retention removed the file.")
    return immutable(
        request,  # type: ignore[arg-type]
        f"thumbnail {asset.sha256}",
        lambda: HttpResponse(thumbnails.small(asset), content_type="image/jpeg"),
    )


@require_GET
@needs(Right.READ)
def outline(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """What is defective in an image, as a line to lie over its thumbnail. It never changes."""
    mask = _or_404(datasets_selectors.find_image, image_id).mask
    if mask is None or mask.discarded_at is not None:
        raise Http404("There is no mask of it, or no longer.")
    return immutable(
        request,  # type: ignore[arg-type]
        f"outline {mask.sha256}",
        lambda: HttpResponse(thumbnails.outline(mask), content_type="image/png"),
    )


# ---------------------------------------------------------------- runs
@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.READ)
def training(request: HttpRequest) -> HttpResponse:
    """Every run, the newest first; htmx asks for the table again while one of them is open."""
    state, name = request.GET.get("status", ""), request.GET.get("dataset", "").replace("\0", "")
    state = state if state in TrainingRun.Status.values else ""
    status: int = HTTPStatus.OK
    context: dict[str, Any] = {
        "state": state,
        "name": name,
        "states": [(words, value == state, _query({"status": value, "dataset": name})) for value, words in _STATES],
        "without_name": _query({"status": state}),
    }
    try:
        page = read_page(browsing.shown_runs(dataset=name, status=state), request)
    except UserError as error:
        context["lost"], status = error, error.status
    else:
        is_open = any(run.status in TrainingRun.OPEN for run in page.rows)
        context |= _pager(page) | {"runs": page.rows, "is_open": is_open, "here": request.get_full_path()}
        context["no_data"] = not page.rows and not state and not name and not browsing.snapshots().exists()
    template = "training.html#runs" if request.htmx else "training.html"  # type: ignore[attr-defined]
    return render(request, template, context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def start(request: HttpRequest) -> HttpResponseBase:
    """The form of a new run: `?dataset=` chooses, `?like=` fills in what another run was asked for."""
    like = _or_404(runs_selectors.find_run, _number(request, "like")) if request.GET.get("like") else None
    offered = browsing.trainable()
    wanted = like.dataset_id if like else _number(request, "dataset")
    if wanted and wanted not in {row.pk for row in offered}:  # an older one than those on offer
        offered.append(_or_404(browsing.find_dataset, wanted))
    form = RunForm(request.POST if request.method == "POST" else None, offered, like, wanted)
    status: int = HTTPStatus.OK
    failed: UserError | None = None
    if request.method == "POST":
        try:
            made = _started(form, offered, request)
        except UserError as error:
            failed = None if form.is_valid() and form.chosen_options.blame(error.detail) else error
            status = error.status
        else:
            if made:
                return redirect("run", made.pk)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
    context = {"form": form, "like": like, "failed": failed, "offered": offered}
    return render(request, "training/new.html", context, status=status)


def _started(form: RunForm, offered: list[Dataset], request: HttpRequest) -> TrainingRun | None:
    """None where a field is wrong, which the form says."""
    if not form.is_valid():
        return None
    options = form.chosen_options
    if not options.is_valid():
        return None
    return runs_services.queue_run(
        dataset=next(row for row in offered if row.pk == form.cleaned_data["dataset"]),
        algorithm=options.algorithm,
        options=options.cleaned_data,
        calibration=threshold_rule(**form.rule),
        seed=form.cleaned_data["seed"],
        actor=request.user,
    )


@require_GET
@needs(Right.READ)
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far a run is and what it says; what came of it."""
    found = _or_404(runs_selectors.find_run, run_id)
    evaluated = found.model_version and browsing.evaluation_of(found.model_version)
    context = _run_context(found) | {
        "evaluation": evaluated,
        "results": evaluated and browsing.results(evaluated),
        "first_threshold": found.model_version and found.model_version.thresholds.order_by("revision").first(),
        "rule": _rule_words(found),
        "options": [(name.replace("_", " "), _option_words(value)) for name, value in found.options.items()],
        "dropped": found.log_start,
        "log": found.log,
    }
    return render(request, "training/run.html", context)


@require_GET
@needs(Right.READ)
def live(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far an open run is, and the log from `?offset=` on, to be appended; the page anew once the run is over."""
    found = _or_404(runs_selectors.find_run, run_id)
    if found.status not in TrainingRun.OPEN:
        return HttpResponseClientRefresh()
    text, _, _ = runs_documents.log_from(found, _number(request, "offset") or 0)
    return render(request, "training/live.html", _run_context(found) | {"appended": text})


def _run_context(found: TrainingRun) -> dict[str, Any]:
    return {
        "run": found,
        "is_open": found.status in TrainingRun.OPEN,
        "ahead": runs_selectors.running_instead_of(found),
        "remaining": _duration_words(remaining_time(found)),
        "percent": round(100 * found.progress),
        "offset": found.log_start + len(found.log),
        "chart": browsing.losses(found),
    }


def _duration_words(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 100:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    return f"about {round(seconds / 60)} min" if seconds < 100 * 60 else f"about {seconds / 3600:.1f} h"


def _option_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rule_words(found: TrainingRun) -> str:
    rule = found.calibration
    if "false_reject_rate" in rule:
        return f"at most {100 * rule['false_reject_rate']:g} % of new good parts rejected on average (conformal)"
    return f"percentile {rule['percentile']:g} of the held-out good scores" if "percentile" in rule else ""


@require_POST
@needs(Right.TRAIN)
def cancel(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """Ask a run to stop."""
    try:
        stopped = runs_services.cancel_run(run_id=run_id, actor=request.user)
    except NotFound as error:
        raise Http404(error.detail) from error
    except UserError as error:
        messages.error(request, error.detail)
    else:
        if stopped.status in TrainingRun.OPEN:
            messages.success(request, "The run stops at its next step. Nothing of it will be kept.")
        else:
            messages.success(request, "The run was cancelled before it began.")
    return redirect("run", run_id)


# ---------------------------------------------------------------- reports
@require_GET
@needs(Right.READ)
def run_report(request: HttpRequest, run_id: int) -> HttpResponse:
    """The newest evaluation of what came of a run."""
    found = _or_404(runs_selectors.find_run, run_id)
    evaluated = found.model_version and browsing.evaluation_of(found.model_version)
    if not evaluated:
        raise Http404("There is no evaluation of this run: it has no version, or its data set no test images.")
    return _report(request, evaluated, found)


@require_GET
@needs(Right.READ)
def evaluation(request: HttpRequest, evaluation_id: int) -> HttpResponse:
    """One evaluation of a version."""
    found = _or_404(browsing.find_evaluation, evaluation_id)
    return _report(request, found, TrainingRun.objects.filter(model_version=found.model_version_id).first())


def _report(request: HttpRequest, evaluated: Evaluation, of: TrainingRun | None) -> HttpResponse:
    context = browsing.report(evaluated) | {"run": of, "evaluations": browsing.other_evaluations(evaluated)}
    return render(request, "training/report.html", context)


# ---------------------------------------------------------------- addresses
def _or_404(find: Any, number: int | None) -> Any:
    """What a selector finds, or the page that says that there is no such thing."""
    try:
        return find(number)
    except NotFound as error:
        raise Http404(error.detail) from error


def _number(request: HttpRequest, name: str) -> int | None:
    """A number of the address that every database's integer holds; None for anything else."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _query(asked: dict[str, str]) -> str:
    """As the query of an address, without what is empty."""
    words = urlencode({name: value for name, value in asked.items() if value})
    return f"?{words}" if words else ""


def _pager(page: Any) -> dict[str, str | None]:
    """The queries of the pages beside a page."""
    return {
        "next": page.next and f"?{urlsplit(page.next).query}",
        "previous": page.previous and f"?{urlsplit(page.previous).query}",
    }
