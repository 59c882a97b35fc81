"""Pages of training runs and evaluations."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import HttpResponseClientRefresh

from common.api.pagination import read_page
from common.errors import NotFound, UserError
from common.rights import Right
from common.web.addresses import or_404, query_string, whole_number
from common.web.decorators import needs
from common.web.htmx import HtmxRequest
from common.web.refusals import refusal_html
from training.datasets import pages
from training.models import Dataset, Evaluation, TrainingRun
from training.report.pages import report_page
from training.runs import documents, selectors, services
from training.runs import pages as runs_pages
from training.runs.estimates import remaining_time
from training.runs.forms import RunForm
from training.runs.ignore_masks import pages as ignore_masks_pages
from training.runs.ignore_masks.pages import RequestedMask
from training.runs.options import threshold_rule
from training.runs.selection.pages import selection_table

_STATES = [("", "All"), *TrainingRun.Status.choices]


# ---------------------------------------------------------------- runs
@require_GET
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
@needs(Right.READ)
def training(request: HtmxRequest) -> HttpResponse:
    """Every run, the newest first; htmx asks for the table again while one of them is open."""
    state, name = request.GET.get("status", ""), request.GET.get("dataset", "").replace("\0", "")
    state = state if state in TrainingRun.Status.values else ""
    status: int = HTTPStatus.OK
    context: dict[str, Any] = {
        "state": state,
        "name": name,
        "states": [
            (words, value == state, query_string({"status": value, "dataset": name})) for value, words in _STATES
        ],
        "without_name": query_string({"status": state}),
    }
    try:
        page = read_page(runs_pages.run_list(dataset=name, status=state), request)
    except UserError as error:
        context["lost"], status = error, error.status
    else:
        is_open = any(run.is_open for run in page.rows)
        context |= page.queries | {"runs": page.rows, "is_open": is_open, "here": request.get_full_path()}
        context["no_data"] = not page.rows and not state and not name and not pages.snapshots().exists()
    template = "training/list.html#runs" if request.htmx else "training/list.html"
    return render(request, template, context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.TRAIN)
def start(request: HttpRequest) -> HttpResponseBase:
    """The form of a new run: `?dataset=` chooses, `?like=` fills in what another run was asked for."""
    number = request.GET.get("like", "")
    like = or_404(selectors.find_run, whole_number(number)) if number else None
    datasets = pages.trainable()
    dataset_id = like.dataset_id if like else whole_number(request.GET.get("dataset", ""))
    if dataset_id and dataset_id not in {row.pk for row in datasets}:  # an older one than those on offer
        datasets.append(or_404(pages.find_dataset, dataset_id))
    mask = ignore_masks_pages.requested_mask(request.GET, like)
    form = RunForm(request.POST if request.method == "POST" else None, datasets, like, dataset_id)
    status: int = HTTPStatus.OK
    failed: UserError | None = None
    if request.method == "POST":
        if "draw" in request.POST:
            return redirect(ignore_masks_pages.editor_address(request.POST.get("dataset", ""), mask, like))
        try:
            new_run = _start_run(form, datasets, mask, request)
        except UserError as error:
            failed = None if form.is_valid() and form.selected_options.blame(error) else error
            status = error.status
        else:
            if new_run:
                return redirect("run", new_run.pk)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
    context = {"form": form, "like": like, "failed": failed, "datasets": datasets}
    context["mask"] = mask and ignore_masks_pages.shown_mask(mask, form["dataset"].value())
    context["without_mask"] = query_string({"dataset": dataset_id, "like": like and like.pk, "ignore_mask": "none"})
    return render(request, "training/new.html", context, status=status)


def _start_run(
    form: RunForm, datasets: list[Dataset], mask: RequestedMask | None, request: HttpRequest
) -> TrainingRun | None:
    """None where a field is wrong, which the form says."""
    if not form.is_valid():
        return None
    options = form.selected_options
    if not options.is_valid():
        return None
    return services.queue_run(
        dataset=next(row for row in datasets if row.pk == form.cleaned_data["dataset"]),
        algorithm=options.algorithm,
        options=options.cleaned_data,
        calibration=threshold_rule(**form.rule),
        seed=form.cleaned_data["seed"],
        actor=request.user,
        ignore_mask=mask.asset if mask else None,
        ignore_mask_version=mask.version if mask else None,
    )


@require_GET
@needs(Right.READ)
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far a run is and what it says; what came of it."""
    training_run = or_404(selectors.find_run, run_id)
    evaluated = training_run.model_version and runs_pages.evaluation_of(training_run.model_version)
    context = _run_context(training_run) | {
        "evaluation": evaluated,
        "results": evaluated and runs_pages.results(evaluated),
        "first_threshold": training_run.model_version
        and training_run.model_version.thresholds.order_by("revision").first(),
        "rule": _rule_words(training_run),
        "selection": selection_table(training_run.selection),
        "options": [(name.replace("_", " "), _option_words(value)) for name, value in training_run.options.items()],
        "dropped": training_run.log_start,
        "log": training_run.log,
        "mask": ignore_masks_pages.mask_of_run(training_run),
    }
    return render(request, "training/one.html", context)


@require_GET
@needs(Right.READ)
def live(request: HttpRequest, run_id: int) -> HttpResponse:
    """How far an open run is, and the log from `?offset=` on, to be appended; the page anew once the run is over."""
    training_run = or_404(selectors.find_run, run_id)
    if not training_run.is_open:
        return HttpResponseClientRefresh()
    text, _, _ = documents.log_from(training_run, whole_number(request.GET.get("offset", "")) or 0)
    return render(request, "training/_live.html", _run_context(training_run) | {"appended": text})


def _run_context(training_run: TrainingRun) -> dict[str, Any]:
    return {
        "run": training_run,
        "is_open": training_run.is_open,
        "ahead": selectors.running_instead_of(training_run),
        "remaining": _duration_words(remaining_time(training_run)),
        "percent": round(100 * training_run.progress),
        "offset": training_run.log_start + len(training_run.log),
        "chart": runs_pages.losses(training_run),
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


def _rule_words(training_run: TrainingRun) -> str:
    rule = training_run.calibration
    if "false_reject_rate" in rule:
        return f"at most {100 * rule['false_reject_rate']:g} % false rejects on average (conformal)"
    return f"percentile {rule['percentile']:g} of the held-out good scores" if "percentile" in rule else ""


@require_POST
@needs(Right.TRAIN)
def cancel(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """Ask a run to stop."""
    try:
        stopped = services.cancel_run(run_id=run_id, actor=request.user)
    except NotFound as error:
        raise Http404(error.detail) from error
    except UserError as error:
        messages.error(request, refusal_html(error))
    else:
        if stopped.is_open:
            messages.success(request, _("The run stops at its next step. No model will be created."))
        else:
            messages.success(request, _("The run was cancelled before it started."))
    return redirect("run", run_id)


# ---------------------------------------------------------------- reports
@require_GET
@needs(Right.READ)
def run_report(request: HttpRequest, run_id: int) -> HttpResponse:
    """The newest evaluation of what came of a run."""
    training_run = or_404(selectors.find_run, run_id)
    evaluated = training_run.model_version and runs_pages.evaluation_of(training_run.model_version)
    if not evaluated:
        raise Http404("This run has no evaluation: it has no model version, or its data set has no test images.")
    return _report(request, evaluated, training_run)


@require_GET
@needs(Right.READ)
def evaluation(request: HttpRequest, evaluation_id: int) -> HttpResponse:
    """One evaluation of a version."""
    row = or_404(runs_pages.find_evaluation, evaluation_id)
    return _report(request, row, TrainingRun.objects.filter(model_version=row.model_version_id).first())


def _report(request: HttpRequest, evaluated: Evaluation, of: TrainingRun | None) -> HttpResponse:
    context = report_page(evaluated) | {"run": of, "evaluations": runs_pages.other_evaluations(evaluated)}
    return render(request, "report/page.html", context)
