"""Re-scoring and replay in the administration."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from common.web.administration import NullsLast, Period, ServiceAdmin, Table, score
from modelzoo.models import ModelVersion
from modelzoo.pages import flat
from tuning.models import ReplayRun, Rescored, RescoringRun


@admin.register(RescoringRun)
class RescoringRunAdmin(ServiceAdmin):
    list_display = [
        "of_version",
        "status",
        "total",
        "done",
        "failed",
        "changed",
        "reason",
        "requested_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["status", "model_version__category", Period]
    list_select_related = ["model_version__category", "requested_by"]
    search_fields = ["reason"]
    search_help_text = "reason"

    def get_queryset(self, request: HttpRequest) -> QuerySet[RescoringRun]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*ModelVersion.long_columns("model_version", in_list=True))

    @admin.display(description="with version", ordering="model_version")
    def of_version(self, run: RescoringRun) -> str:
        return str(run.model_version)

    def links(self, run: RescoringRun) -> list[tuple[str, str]]:
        return [
            (reverse("threshold", args=[run.model_version_id]), "Page of the threshold, with what came of it"),
            (f"{reverse('admin:tuning_rescored_changelist')}?run__id__exact={run.pk}", "Results"),
        ]

    def tables(self, run: RescoringRun) -> list[Table]:
        return [Table("Which records", ("filter", "value"), list(flat(run.filters)))]


@admin.register(Rescored)
class RescoredAdmin(ServiceAdmin):
    list_display = ["inspection", "outcome", "number", "error_code", "run"]
    list_filter = ["outcome"]
    list_select_related = ["run__model_version__category", "inspection"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "run__id__exact" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description="score", ordering=NullsLast("score"))
    def number(self, row: Rescored) -> str:
        return score(row.score)

    def links(self, row: Rescored) -> list[tuple[str, str]]:
        return [(reverse("inspection", args=[row.inspection_id]), "Record")]


@admin.register(ReplayRun)
class ReplayRunAdmin(ServiceAdmin):
    list_display = ["id", "status", "sample", "equal", "differing", "not_recomputed", "created_at", "finished_at"]
    list_filter = ["status", Period]

    def tables(self, run: ReplayRun) -> list[Table]:
        return [Table("What was not as recorded", ("finding",), [(finding,) for finding in run.findings])]
