"""Records, requests, batches and reviews in the administration: to look at, hundreds of thousands of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from common.web.administration import (
    NONE,
    NullsLast,
    Period,
    RecentWords,
    ServiceAdmin,
    Table,
    link,
    picture,
    score,
    tag,
)
from inspection.history.filters import parse_filters
from inspection.models import (
    BatchRun,
    Inspection,
    InspectionRequest,
    PartInspection,
    PartLayout,
    PartRequest,
    Review,
    SavedView,
    Standing,
)
from modelzoo.models import ModelVersion
from modelzoo.pages import flat

_LATEST = 10
# What neither a list nor a page of these rows shows.
_LONG = ("regions", "image_statistics", "input_findings", "ignored_outlines", "timings")


def _picture(inspection: Inspection) -> str:
    """The picture of a record, or the word that retention removed it."""
    if inspection.asset.discarded_at:
        return "deleted"
    return picture(reverse("inspection-thumbnail", args=[inspection.pk]))


def _verdict(word: str, name: str = "") -> SafeString:
    return tag(f"{word} by {name}" if name else word, is_strong=word != "good")


@admin.register(Inspection)
class InspectionAdmin(ServiceAdmin):
    list_display = [
        "image",
        "part",
        "verdict",
        "person",
        "number",
        "at",
        "of_version",
        "station",
        "lot",
        "created_at",
    ]
    list_display_links = ["part"]
    list_filter = ["outcome", "category", RecentWords.of("station"), RecentWords.of("source"), Period]
    list_select_related = ["model_version__category", "request", "asset", "standing__reviewer"]
    search_fields = ["filename", "serial_number", "lot", "part_number"]
    search_help_text = "how file, serial, lot or part begins"
    fields = (
        *(
            "image",
            "filename",
            "category",
            "model_version",
            "threshold",
            "verdict",
            "person",
            "number",
            "at",
            "p_value",
        ),
        *("reason", "explanation", "region_count", "largest_region_px", "source", "station", "part_number", "lot"),
        *("serial_number", "operator", "deployment", "device", "worker", "code_version", "created_at"),
    )
    readonly_fields = ("image", "verdict", "person", "number", "at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Inspection]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*_LONG, *ModelVersion.long_columns("model_version", in_list=True))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """As the history searches: by indexes, on both databases."""
        if not search_term:
            return queryset, False
        return parse_filters({"search": search_term[:100].replace("\0", "")}).apply(queryset), False

    @admin.display(description="image")
    def image(self, inspection: Inspection) -> str:
        return _picture(inspection)

    @admin.display(description="file")
    def part(self, inspection: Inspection) -> str:
        return inspection.path_or_name

    @admin.display(description="model's verdict")
    def verdict(self, inspection: Inspection) -> SafeString:
        return _verdict(inspection.get_outcome_display())

    @admin.display(description="person's verdict")
    def person(self, inspection: Inspection) -> str:
        standing = getattr(inspection, "standing", None)
        return _verdict(standing.get_verdict_display(), standing.reviewer.get_username()) if standing else NONE

    @admin.display(description="score", ordering=NullsLast("score"))
    def number(self, inspection: Inspection) -> str:
        return score(inspection.score)

    @admin.display(description="threshold")
    def at(self, inspection: Inspection) -> str:
        return score(inspection.threshold_value)

    @admin.display(description="model version")
    def of_version(self, inspection: Inspection) -> str:
        return str(inspection.model_version)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("history"), "History: all filters, review, export")]

    def links(self, inspection: Inspection) -> list[tuple[str, str]]:
        return [
            (reverse("inspection", args=[inspection.pk]), "Record, with image and map"),
            (reverse("inspection-certificate", args=[inspection.pk]), "Certificate (PDF)"),
            (reverse("model", args=[inspection.model_version_id]), "Model"),
            (reverse("threshold", args=[inspection.model_version_id]), "Threshold"),
        ]

    def tables(self, inspection: Inspection) -> list[Table]:
        reviews = inspection.reviews.select_related("reviewer").order_by("number")
        return [
            Table(
                "Reviews",
                ("number", "verdict", "kind of defect", "comment", "by", "when"),
                [
                    (row.number, row.get_verdict_display(), row.defect_type, row.comment, row.reviewer, row.created_at)
                    for row in reviews
                ],
            ),
            Table("Time of each step (ms)", ("step", "value"), list(flat(inspection.timings))),
        ]


@admin.register(InspectionRequest)
class InspectionRequestAdmin(ServiceAdmin):
    list_display = ["filename", "status_word", "batch", "source", "station", "attempt", "error_code", "created_at"]
    list_filter = ["status"]
    list_select_related = ["batch"]
    search_fields = ["=id", "=idempotency_key"]
    search_help_text = "id or key of a request, whole"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return super().get_search_results(request, queryset, search_term.replace("\0", ""))

    @admin.display(description="status", ordering="status")
    def status_word(self, row: InspectionRequest) -> SafeString:
        return tag(row.get_status_display(), is_strong=row.status in InspectionRequest.WITHOUT_RECORD)

    def links(self, row: InspectionRequest) -> list[tuple[str, str]]:
        record = Inspection.objects.filter(request=row).values_list("pk", flat=True).first()
        return [
            *([(reverse("inspection", args=[record]), "Record")] if record else []),
            *([(reverse("batch-page", args=[row.batch_id]), "Batch")] if row.batch_id else []),
            (reverse("model", args=[row.model_version_id]), "Model"),
        ]


@admin.register(BatchRun)
class BatchRunAdmin(ServiceAdmin):
    list_display = ["name", "status", "deployment", "requested_by", "created_at", "finished_at"]
    list_filter = ["status", "deployment__category", Period]
    list_select_related = ["deployment__model_version__category", "requested_by"]
    search_fields = ["name", "requested_by__username"]
    search_help_text = "name of the batch or the person"

    def links(self, batch: BatchRun) -> list[tuple[str, str]]:
        return [
            (reverse("batch-page", args=[batch.pk]), "Page of the batch"),
            (f"{reverse('history')}?batch={batch.pk}", "Records"),
        ]


@admin.register(PartInspection)
class PartInspectionAdmin(ServiceAdmin):
    list_display = ["part_id", "layout_name", "verdict", "explanation", "station", "lot", "serial_number", "created_at"]
    list_filter = ["outcome", Period]
    search_fields = ["part_id", "serial_number", "lot"]
    search_help_text = "part id, serial number or lot"

    @admin.display(description="verdict", ordering="outcome")
    def verdict(self, part: PartInspection) -> SafeString:
        return _verdict(part.get_outcome_display())

    def links(self, part: PartInspection) -> list[tuple[str, str]]:
        return [
            (reverse("part", args=[part.pk]), "Part, with its views"),
            (reverse("part-certificate", args=[part.pk]), "Certificate (PDF)"),
        ]

    def tables(self, part: PartInspection) -> list[Table]:
        views = part.views.select_related("view__category").order_by("view__position")
        rows = [
            (row.view.name, row.view.category.name, row.get_state_display(), row.inspection_id, row.explanation)
            for row in views
        ]
        return [Table("Views", ("view", "category", "state", "record", "why"), rows)]


@admin.register(PartRequest)
class PartRequestAdmin(ServiceAdmin):
    list_display = ["part_id", "layout", "status", "source", "station", "lot", "opened_at", "closes_at"]
    list_filter = ["status", Period.of("opened_at")]
    list_select_related = ["layout"]
    search_fields = ["part_id", "serial_number"]
    search_help_text = "part id or serial number"

    def links(self, part: PartRequest) -> list[tuple[str, str]]:
        return [(reverse("part", args=[part.pk]), "Part, with its views")]


@admin.register(PartLayout)
class PartLayoutAdmin(ServiceAdmin):
    list_display = ["name", "revision", "time_limit_seconds", "in_use", "reason", "author", "created_at"]
    list_filter = ["in_use"]
    list_select_related = ["author"]
    search_fields = ["name"]
    search_help_text = "name of the layout"

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("part-layouts"), "Set and retire layouts")]

    def links(self, layout: PartLayout) -> list[tuple[str, str]]:
        return [(reverse("part-layout", args=[layout.name]), "Layout with its revisions")]

    def tables(self, layout: PartLayout) -> list[Table]:
        views = layout.views.select_related("category").order_by("position")
        return [Table("Views", ("view", "category", "station"), [(v.name, v.category.name, v.station) for v in views])]


@admin.register(Review)
class ReviewAdmin(ServiceAdmin):
    list_display = ["image", "part", "number", "verdict_word", "agrees", "defect_type", "reviewer", "created_at"]
    list_display_links = ["part"]
    list_filter = ["verdict", "agrees", "inspection__category", Period]
    list_select_related = ["inspection__request", "inspection__asset", "reviewer"]
    search_fields = ["defect_type", "comment", "reviewer__username"]
    search_help_text = "kind of defect, comment or name"
    fields = (
        *("inspection", "number", "verdict", "agrees", "defect_type", "comment", "undoes", "reviewer", "created_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Review]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("regions", *(f"inspection__{name}" for name in _LONG))

    @admin.display(description="image")
    def image(self, review: Review) -> str:
        return _picture(review.inspection)

    @admin.display(description="record")
    def part(self, review: Review) -> str:
        return review.inspection.path_or_name

    @admin.display(description="verdict", ordering="verdict")
    def verdict_word(self, review: Review) -> SafeString:
        return _verdict(review.get_verdict_display())

    def links(self, review: Review) -> list[tuple[str, str]]:
        return [
            (reverse("inspection", args=[review.inspection_id]), "Record"),
            (
                reverse("admin:inspection_inspection_change", args=[review.inspection_id]),
                "Record in the administration",
            ),
        ]


@admin.register(Standing)
class StandingAdmin(ServiceAdmin):
    list_display = ["record", "verdict", "overruled", "contested", "reviews", "reviewer", "inspected_at"]
    list_display_links = ["record"]
    list_filter = ["verdict", "overruled", "contested", Period.of("inspected_at")]
    list_select_related = ["inspection__request", "reviewer"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Standing]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*(f"inspection__{name}" for name in _LONG))

    @admin.display(description="record")
    def record(self, standing: Standing) -> str:
        return standing.inspection.path_or_name

    def links(self, standing: Standing) -> list[tuple[str, str]]:
        return [(reverse("inspection", args=[standing.pk]), "Record")]


@admin.register(SavedView)
class SavedViewAdmin(ServiceAdmin):
    list_display = ["name", "owner", "opens", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]
    search_help_text = "name of the view or the person"

    @admin.display(description="filter")
    def opens(self, view: SavedView) -> str:
        return link(f"{reverse('history')}?{view.query}", view.query)
