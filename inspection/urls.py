"""Pages of inspection."""

from django.urls import path

from inspection.batches import views
from inspection.history import views as history
from inspection.line import views as line
from inspection.part_layouts import views as part_layouts
from inspection.parts import views as parts
from inspection.record import views as record
from inspection.reviews import dataset_views
from inspection.reviews import views as reviews

urlpatterns = [
    path("", line.line, name="line"),
    path("line/status", line.line_status, name="line-status"),
    path("line/today", line.today, name="line-today"),
    path("line/review/<uuid:inspection_id>", line.review, name="line-review"),
    path("inspect", line.inspect, name="inspect"),
    path("inspect/<uuid:request_id>/again", line.judge_again, name="line-judge-again"),
    path("datasets/from-reviews/", dataset_views.from_reviews, name="dataset-from-reviews"),
    path("inspections/", history.browse, name="history"),
    path("inspections/rows", history.rows, name="history-rows"),
    path("inspections/undo", reviews.undo, name="reviews-undo"),
    path("inspections/figures", history.figures, name="history-figures"),
    path("inspections/views", history.keep, name="history-keep"),
    path("inspections/views/<int:view_id>/delete", history.forget, name="history-forget"),
    path("inspections/<uuid:inspection_id>/", record.inspection, name="inspection"),
    path("inspections/<uuid:inspection_id>/review", record.review, name="inspection-review"),
    path("inspections/<uuid:inspection_id>/similar", record.similar, name="inspection-similar"),
    path("inspections/<uuid:inspection_id>/certificate.pdf", record.certificate, name="inspection-certificate"),
    path("parts/", parts.parts, name="parts"),
    path("parts/<uuid:part_id>/", parts.part, name="part"),
    path("parts/<uuid:part_id>/certificate.pdf", parts.certificate, name="part-certificate"),
    path("parts/layouts/", part_layouts.part_layouts, name="part-layouts"),
    path("parts/layouts/set", part_layouts.set_layout, name="part-layout-set"),
    path("parts/layouts/of/<str:name>/", part_layouts.part_layout, name="part-layout"),
    path("parts/layouts/of/<str:name>/retire", part_layouts.retire, name="part-layout-retire"),
    path("batches/", views.browse, name="batches"),
    path("batches/<uuid:batch_id>/", views.batch_page, name="batch-page"),
    path("batches/<uuid:batch_id>/cancel", views.cancel, name="batch-cancel"),
]
