"""Models in the administration: versions by their figures, thresholds, deployments, and what may be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.errors import Conflict
from common.rights import Right
from common.web.administration import (
    NONE,
    Act,
    NullsLast,
    Period,
    ServiceAdmin,
    Table,
    link,
    measured,
    number_at,
    picture,
    score,
    share,
    tag,
)
from modelzoo import documents, pages, services
from modelzoo.lifecycle.selectors import approval_in_force
from modelzoo.lifecycle.services import approve_version, withdraw_approval
from modelzoo.loading.deployments import await_deployment
from modelzoo.loading.verification import verify_artifact
from modelzoo.models import (
    Approval,
    Category,
    Deployment,
    InputCheckSettings,
    ModelVersion,
    PromotionGates,
    ScaleCalibration,
    Threshold,
)

_STAGE = ModelVersion.Stage
_LATEST = 10  # rows of a table on a page
# Columns of the list, and where they stand in the evaluation at the end of training.
_FIGURES = {
    "figure_auroc": "metrics__image__auroc",
    "figure_aupro": "metrics__pixel__aupro",
    "figure_f1": "metrics__image__f1",
    "figure_recall": "metrics__image__recall",
    "figure_false_rejects": "metrics__image__false_reject_rate",
    "measured_at": "metrics__threshold",
}


# ---------------------------------------------------------------- what may be done
def _approve(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    approve_version(version=version, reason=values["reason"], actor=request.user)
    return f"{version} is approved. It can be promoted to production."


def _withdraw(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    withdraw_approval(version=version, reason=values["reason"], actor=request.user)
    return f"The approval of {version} was withdrawn."


def _archive(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    services.archive_version(version=version, reason=values["reason"], actor=request.user)
    return f"{version} was archived. It can still be promoted."


def _promote(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    deployment = services.request_promotion(version=version, reason=values["reason"], actor=request.user)
    return _in_production(await_deployment(deployment=deployment))


def _promote_again(request: HttpRequest, deployment: Deployment, values: Mapping[str, Any]) -> str:
    return _promote(request, deployment.model_version, values)


def _roll_back_version(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    if version.stage != _STAGE.PRODUCTION:
        raise Conflict("It is not in production. Nothing was changed. Choose the version that is.")
    return _roll_back(request, version.category, values)


def _roll_back_deployment(request: HttpRequest, deployment: Deployment, values: Mapping[str, Any]) -> str:
    if deployment.status != Deployment.Status.ACTIVE:
        raise Conflict("It is not active. Nothing was changed. Choose the deployment that is.")
    if deployment.station:
        raise Conflict("It is a canary. Nothing was changed. End it, or roll back what is in production.")
    return _roll_back(request, deployment.category, values)


def _end_canary(request: HttpRequest, deployment: Deployment, values: Mapping[str, Any]) -> str:
    services.end_canary(canary=deployment, reason=values["reason"], actor=request.user)
    return f"Production judges the images of station {deployment.station} from the next one on."


def _roll_back(request: HttpRequest, category: Category, values: Mapping[str, Any]) -> str:
    deployment = services.request_rollback(category=category, reason=values["reason"], actor=request.user)
    return _in_production(await_deployment(deployment=deployment))


def _in_production(deployment: Deployment) -> str:
    runs_in = f"{deployment.runtime_chosen or deployment.runtime} {deployment.precision_chosen or deployment.precision}"
    return (
        f"{deployment.model_version} is in production, on {deployment.device} ({runs_in}): it judges from the next "
        "image on."
    )


def _verify(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    fault = verify_artifact(version=version, actor=request.user)
    if fault:
        raise Conflict(f"{fault} Nothing was changed. Restore the artifact from a backup.", code="model_unusable")
    return f"{version}: every byte of the artifact is as it was recorded."


def _export(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> HttpResponse:
    """The same download as on the page of the version, which says in the audit log that it was taken out."""
    return HttpResponseRedirect(reverse("model-version-artifact", args=[version.pk]))


_PROMOTED = "It is loaded by a worker, which takes some seconds, and judges from the next image on. What is in "
_ROLLED_BACK = "The version that served before is loaded by a worker and judges from the next image on. "
_ACTS = (
    Act(
        "promote",
        "Promote to production",
        Right.DEPLOY,
        _promote,
        _PROMOTED + "production now is archived; where loading fails, it stays in production.",
        applies=lambda version: version.stage != _STAGE.PRODUCTION,
        is_single=True,
        is_dangerous=True,
    ),
    Act(
        "roll_back",
        "Roll back",
        Right.DEPLOY,
        _roll_back_version,
        _ROLLED_BACK + "This one is archived.",
        applies=lambda version: version.stage == _STAGE.PRODUCTION,
        is_single=True,
        is_dangerous=True,
    ),
    Act(
        "approve",
        "Approve",
        Right.DEPLOY,
        _approve,
        "You vouch for it: an approved version may go into production. The event holds the hash of its artifact.",
        applies=lambda version: approval_in_force(version.pk) is None,
    ),
    Act(
        "withdraw_approval",
        "Withdraw approval",
        Right.DEPLOY,
        _withdraw,
        "It is a candidate again.",
        applies=lambda version: version.stage != _STAGE.PRODUCTION and approval_in_force(version.pk) is not None,
    ),
    Act(
        "archive",
        "Archive",
        Right.DEPLOY,
        _archive,
        "It is put aside: 'latest' no longer means it. It can still be promoted.",
        applies=lambda version: version.stage not in (_STAGE.PRODUCTION, _STAGE.ARCHIVED),
    ),
    Act("verify", "Verify artifact", Right.DEPLOY, _verify),
    Act("export", "Export as a signed file", Right.DEPLOY, _export, is_single=True),
)


# ---------------------------------------------------------------- versions
@admin.register(ModelVersion)
class ModelVersionAdmin(ServiceAdmin):
    list_display = [
        "version",
        "stage_word",
        "threshold_value",
        "auroc",
        "aupro",
        "f1",
        "recall",
        "false_rejects",
        "data",
        "created_at",
        "image",
    ]
    list_display_links = ["version"]
    list_filter = ["stage", "category", "algorithm", Period]
    search_fields = ["category__name", "algorithm", "dataset_name", "artifact_sha256__startswith"]
    search_help_text = "category, algorithm, data set or hash"
    acts: ClassVar[list[Act]] = [*_ACTS]  # apps that build on this one add theirs
    fields = (
        "category",
        "number",
        "algorithm",
        "stage",
        "backbone",
        "seed",
        "trained_on",
        "artifact",
        "artifact_sha256",
        "artifact_bytes",
        "backbone_sha256",
        "created_at",
        "created_by",
    )
    readonly_fields = ("trained_on",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        """With the figures of a list, and without all that is long."""
        figures = {name: number_at(place) for name, place in _FIGURES.items()}
        return documents.versions().annotate(**figures)

    @admin.display(description="version", ordering="pk")
    def version(self, version: ModelVersion) -> str:
        return f"{version.category.name} v{version.number} {version.algorithm}"

    @admin.display(description="stage", ordering="stage")
    def stage_word(self, version: ModelVersion) -> SafeString:
        return tag(version.get_stage_display(), is_strong=version.stage == _STAGE.PRODUCTION)

    @admin.display(description="threshold", ordering=NullsLast("threshold"))
    def threshold_value(self, version: Any) -> str:
        if version.threshold is None:
            return NONE
        return link(reverse("threshold", args=[version.pk]), score(version.threshold))

    @admin.display(description="AUROC", ordering=NullsLast("figure_auroc"))
    def auroc(self, version: Any) -> str:
        return measured(version.figure_auroc)

    @admin.display(description="AUPRO", ordering=NullsLast("figure_aupro"))
    def aupro(self, version: Any) -> str:
        return measured(version.figure_aupro)

    @admin.display(description="F1", ordering=NullsLast("figure_f1"))
    def f1(self, version: Any) -> str:
        return _at_threshold(version, measured(version.figure_f1))

    @admin.display(description="recall", ordering=NullsLast("figure_recall"))
    def recall(self, version: Any) -> str:
        return _at_threshold(version, share(version.figure_recall))

    @admin.display(description="false rejects", ordering=NullsLast("figure_false_rejects"))
    def false_rejects(self, version: Any) -> str:
        return _at_threshold(version, share(version.figure_false_rejects))

    @admin.display(description="data set", ordering="dataset_name")
    def data(self, version: ModelVersion) -> str:
        return version.dataset_name

    @admin.display(description="mean image")
    def image(self, version: ModelVersion) -> SafeString:
        return picture(reverse("model-version-mean-image", args=[version.pk]))

    @admin.display(description="trained on")
    def trained_on(self, version: Any) -> str:
        """The run and the data set belong to an app that builds on this one: reached by name, not imported."""
        text = f"{version.dataset_name} @ {version.dataset_snapshot[:12]}"
        run = getattr(version, "training_run", None)
        if run is None:
            return text
        return link(reverse("admin:training_dataset_change", args=[run.dataset_id]), text)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("models"), "Models"), (reverse("thresholds"), "Thresholds")]

    def links(self, version: Any) -> list[tuple[str, str]]:
        run = getattr(version, "training_run", None)
        evaluation = version.evaluations.order_by("-pk").values_list("pk", flat=True).first()
        return [
            (reverse("model", args=[version.pk]), "Page of the model"),
            (reverse("model-card", args=[version.pk]), "Model card"),
            (reverse("threshold", args=[version.pk]), "Threshold"),
            *([(reverse("evaluation", args=[evaluation]), "Report")] if evaluation else []),
            *([(reverse("run", args=[run.pk]), f"Training run {run.pk}")] if run else []),
            *([(reverse("dataset", args=[run.dataset_id]), "Data set")] if run else []),
            (f"{reverse('history')}?model_version={version.pk}", "Records"),
        ]

    def tables(self, version: Any) -> list[Table]:
        metrics = ModelVersion.objects.values_list("metrics", flat=True).get(pk=version.pk)
        rows = pages.metric_rows(metrics)
        return [
            Table(
                "Figures of the last training",
                ("figure", "value", "95 % interval"),
                [(row["words"], row["text"], row["interval"]) for row in rows],
            ),
            _thresholds_of(version),
            _evaluations_of(version),
            Table(
                "Approvals",
                ("decision", "reason", "by", "when"),
                [
                    ("approved" if row.approved else "withdrawn", row.reason, row.author, row.created_at)
                    for row in version.approvals.select_related("author")[:_LATEST]
                ],
            ),
            _deployments_of(version),
            Table("Options of the training", ("option", "value"), list(pages.flat(version.config))),
            Table("Software that trained it", ("name", "version"), list(pages.flat(version.versions))),
        ]


def _at_threshold(version: Any, text: str) -> str:
    """A figure that belongs to a threshold, with that threshold where another one is active now."""
    if text == NONE or version.measured_at is None or version.measured_at == version.threshold:
        return text
    return format_html("{} <small>at {}</small>", text, score(version.measured_at))


def _thresholds_of(version: ModelVersion) -> Table:
    rows = version.thresholds.select_related("author").order_by("-revision")[:_LATEST]
    return Table(
        "Thresholds",
        ("revision", "value", "method", "reason", "by", "when"),
        [
            (row.revision, score(row.value), row.get_method_display(), row.reason, row.author, row.created_at)
            for row in rows
        ],
        (reverse("threshold", args=[version.pk]), "Set another threshold"),
    )


def _evaluations_of(version: Any) -> Table:
    """Evaluations belong to an app that builds on this one: reached by name, not imported."""
    names = ("auroc", "f1", "recall", "false_reject_rate")
    rows = version.evaluations.select_related("dataset", "threshold").defer("metrics", "dataset__report")
    rows = rows.annotate(
        figure_aupro=number_at("metrics__pixel__aupro"),
        **{f"figure_{name}": number_at(f"metrics__image__{name}") for name in names},
    )
    return Table(
        "Evaluations",
        ("data set", "AUROC", "AUPRO", "F1", "recall", "false rejects", "at threshold", "when"),
        [
            (
                link(reverse("evaluation", args=[row.pk]), row.dataset.name),
                measured(row.figure_auroc),
                measured(row.figure_aupro),
                measured(row.figure_f1),
                share(row.figure_recall),
                share(row.figure_false_reject_rate),
                score(row.threshold.value),
                row.created_at,
            )
            for row in rows.order_by("-pk")[:_LATEST]
        ],
    )


def _deployments_of(version: ModelVersion) -> Table:
    rows = version.deployments.select_related("requested_by")[:_LATEST]
    return Table(
        "Deployments",
        ("number", "kind", "status", "reason", "runs in", "by", "since", "until"),
        [
            (
                link(reverse("admin:modelzoo_deployment_change", args=[row.pk]), row.pk),
                row.get_kind_display(),
                row.get_status_display(),
                row.reason or row.error,
                _runs_in(row),
                row.requested_by,
                row.activated_at,
                row.ended_at,
            )
            for row in rows
        ],
    )


def _runs_in(row: Deployment) -> str:
    words = (
        row.device or row.device_requested,
        row.runtime_chosen or row.runtime,
        row.precision_chosen or row.precision,
    )
    return " ".join(words)


# ---------------------------------------------------------------- categories, thresholds, deployments
@admin.register(Category)
class CategoryAdmin(ServiceAdmin):
    list_display = ["name", "production", "version_count", "dataset_count", "is_default", "created_at"]
    search_fields = ["name", "given_name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        return documents.categories()

    @admin.display(description="in production")
    def production(self, category: Any) -> str:
        return ", ".join(f"v{version.number} {version.algorithm}" for version in category.in_production) or NONE

    @admin.display(description="versions", ordering="version_count")
    def version_count(self, category: Any) -> int:
        return int(category.version_count)

    @admin.display(description="data sets", ordering="dataset_count")
    def dataset_count(self, category: Any) -> int:
        return int(category.dataset_count)

    def links(self, category: Category) -> list[tuple[str, str]]:
        return [
            (f"{reverse('models')}?category={category.name}", "Models"),
            (reverse("promotion-gates", args=[category.name]), "Promotion gates"),
            (reverse("input-checks", args=[category.name]), "Input checks"),
            (reverse("scales", args=[category.name]), "Calibrations"),
            (f"{reverse('history')}?category={category.name}", "Records"),
        ]


@admin.register(Threshold)
class ThresholdAdmin(ServiceAdmin):
    """Revisions are set on the page of a version's threshold, which shows what another one would have done."""

    list_display = ["of_version", "revision", "number", "is_active", "method", "reason", "author", "created_at"]
    list_filter = ["method", "model_version__category", Period]
    list_select_related = ["model_version__category", "author"]
    search_fields = ["reason", "model_version__category__name"]
    search_help_text = "reason or category"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Threshold]:
        rows = super().get_queryset(request).select_related("model_version__category", "author")
        rows = rows.defer(*ModelVersion.long_columns("model_version", in_list=True))
        return rows.annotate(newest=Max("model_version__thresholds__revision"))

    @admin.display(description="version", ordering="model_version")
    def of_version(self, threshold: Threshold) -> str:
        return str(threshold.model_version)

    @admin.display(description="value", ordering="value")
    def number(self, threshold: Threshold) -> str:
        return score(threshold.value)

    @admin.display(description="active")
    def is_active(self, threshold: Any) -> str:
        return tag("active", is_strong=True) if threshold.revision == threshold.newest else ""

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("thresholds"), "Set a threshold"), (reverse("promises"), "Promises of thresholds")]

    def links(self, threshold: Threshold) -> list[tuple[str, str]]:
        return [
            (reverse("threshold", args=[threshold.model_version_id]), "Set another threshold"),
            (reverse("model", args=[threshold.model_version_id]), "Model"),
            (f"{reverse('history')}?threshold={threshold.pk}", "Records judged at it"),
        ]

    def tables(self, threshold: Threshold) -> list[Table]:
        evidence = [*pages.flat(threshold.parameters), *pages.flat(threshold.evidence)]
        return [Table("What was known when it was set", ("figure", "value"), evidence)]


@admin.register(Deployment)
class DeploymentAdmin(ServiceAdmin):
    list_display = [
        "of_version",
        "kind",
        "station",
        "status_word",
        "reason",
        "runs_in",
        "requested_by",
        "requested_at",
        "activated_at",
        "ended_at",
    ]
    list_filter = ["status", "kind", "category", Period.of("requested_at")]
    list_select_related = ["category", "model_version__category", "requested_by"]
    search_fields = ["reason", "error", "category__name"]
    search_help_text = "reason, error or category"
    acts = (
        Act(
            "roll_back",
            "Roll back",
            Right.DEPLOY,
            _roll_back_deployment,
            _ROLLED_BACK + "The version of this deployment is archived.",
            applies=lambda deployment: deployment.status == Deployment.Status.ACTIVE and not deployment.station,
            is_single=True,
            is_dangerous=True,
        ),
        Act(
            "end_canary",
            "End the canary",
            Right.DEPLOY,
            _end_canary,
            "Production judges the images of its station again, from the next one on.",
            applies=lambda deployment: deployment.status == Deployment.Status.ACTIVE and bool(deployment.station),
            is_single=True,
            is_dangerous=True,
        ),
        Act(
            "promote",
            "Promote its version again",
            Right.DEPLOY,
            _promote_again,
            _PROMOTED + "production now is archived; where loading fails, it stays in production.",
            applies=lambda deployment: deployment.model_version.stage != _STAGE.PRODUCTION,
            is_single=True,
            is_dangerous=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*ModelVersion.long_columns("model_version", in_list=True))

    @admin.display(description="version", ordering="model_version")
    def of_version(self, deployment: Deployment) -> str:
        return str(deployment.model_version)

    @admin.display(description="status", ordering="status")
    def status_word(self, deployment: Deployment) -> str:
        return tag(deployment.get_status_display(), is_strong=deployment.status == Deployment.Status.ACTIVE)

    @admin.display(description="runs in")
    def runs_in(self, deployment: Deployment) -> str:
        return _runs_in(deployment)

    def links(self, deployment: Deployment) -> list[tuple[str, str]]:
        version = deployment.model_version
        return [
            (reverse("model", args=[version.pk]), str(version)),
            (reverse("admin:modelzoo_modelversion_change", args=[version.pk]), "Version in the administration"),
        ]

    def tables(self, deployment: Deployment) -> list[Table]:
        error = [("error", deployment.error)] if deployment.error else []
        return [Table("How it runs, and why", ("what", "value"), [*error, *pages.flat(deployment.choice)])]


# ---------------------------------------------------------------- approvals, gates, input checks
@admin.register(Approval)
class ApprovalAdmin(ServiceAdmin):
    list_display = ["of_version", "approved", "reason", "author", "created_at"]
    list_filter = ["approved", "model_version__category", Period]
    list_select_related = ["model_version__category", "author"]
    search_fields = ["reason", "author__username"]
    search_help_text = "reason or name"

    @admin.display(description="version", ordering="model_version")
    def of_version(self, approval: Approval) -> str:
        return str(approval.model_version)

    def links(self, approval: Approval) -> list[tuple[str, str]]:
        return [(reverse("model", args=[approval.model_version_id]), "Model")]


@admin.register(PromotionGates)
class PromotionGatesAdmin(ServiceAdmin):
    list_display = [
        "category",
        "dataset_name",
        "recall",
        "false_rejects",
        "lamp",
        "refuse_shortcut_warning",
        "verify_artifact",
        "reason",
        "author",
        "created_at",
    ]
    list_filter = ["category"]
    list_select_related = ["category", "author"]

    @admin.display(description="recall at least", ordering=NullsLast("min_recall"))
    def recall(self, gates: PromotionGates) -> str:
        return share(gates.min_recall)

    @admin.display(description="false rejects at most", ordering=NullsLast("max_false_reject_rate"))
    def false_rejects(self, gates: PromotionGates) -> str:
        return share(gates.max_false_reject_rate)

    @admin.display(description="lamp tolerance", ordering=NullsLast("min_lamp_tolerance"))
    def lamp(self, gates: PromotionGates) -> str:
        return share(gates.min_lamp_tolerance)

    def links(self, gates: PromotionGates) -> list[tuple[str, str]]:
        return [(reverse("promotion-gates", args=[gates.category.name]), "Set the gates")]


@admin.register(ScaleCalibration)
class ScaleCalibrationAdmin(ServiceAdmin):
    list_display = [
        *("category", "station", "revision", "method", "mm_per_px", "uncertainty_percent", "variation_percent"),
        *("reason", "author", "created_at"),
    ]
    list_filter = ["category", "method"]
    list_select_related = ["category", "author"]

    def links(self, row: ScaleCalibration) -> list[tuple[str, str]]:
        return [(reverse("scales", args=[row.category.name]), "Calibrate")]


@admin.register(InputCheckSettings)
class InputCheckSettingsAdmin(ServiceAdmin):
    list_display = ["category", "size", "aspect", "colour", "likeness", "reason", "author", "created_at"]
    list_filter = ["category"]
    list_select_related = ["category", "author"]

    def links(self, row: InputCheckSettings) -> list[tuple[str, str]]:
        return [(reverse("input-checks", args=[row.category.name]), "Set the input checks")]
