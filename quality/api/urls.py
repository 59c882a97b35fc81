"""`/api/` of quality. Every path works with and without a trailing slash."""

from django.urls import re_path

from quality.containment import api as containment
from quality.measurement_system import api as measurement_system
from quality.promises import api as promises
from quality.random_audit import api as random_audit
from quality.review_queue import api as review_queue

_ID = r"[0-9]{1,18}"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_SHIFT = rf"^audited-shifts/(?P<shift_id>{_UUID})"
_CONTAINMENT = rf"^containments/(?P<containment_id>{_UUID})"
_STUDY = rf"^measurement-studies/(?P<study_id>{_UUID})"
_PART = rf"^blind-reviews/(?P<part_id>{_ID})"
_QUEUE = r"^review-queue/(?P<name>[^/]{1,100})"

urlpatterns = [
    re_path(r"^sampling-plans/?$", random_audit.SamplingPlansView.as_view(), name="sampling-plans"),
    re_path(rf"^sampling-plans/(?P<plan_id>{_ID})/?$", random_audit.SamplingPlanView.as_view(), name="sampling-plan"),
    re_path(r"^audited-shifts/?$", random_audit.AuditedShiftsView.as_view(), name="api-audited-shifts"),
    re_path(rf"{_SHIFT}/?$", random_audit.AuditedShiftView.as_view(), name="api-audited-shift"),
    re_path(rf"{_SHIFT}/export/?$", random_audit.AuditedShiftExportView.as_view(), name="audited-shift-export"),
    re_path(r"^random-audit/?$", random_audit.RandomAuditView.as_view(), name="random-audit"),
    re_path(r"^blind-reviews/?$", random_audit.BlindReviewsView.as_view(), name="blind-reviews"),
    re_path(rf"{_PART}/?$", random_audit.BlindReviewView.as_view(), name="api-blind-review"),
    re_path(r"^containments/?$", containment.ContainmentsView.as_view(), name="api-containments"),
    re_path(rf"{_CONTAINMENT}/?$", containment.ContainmentView.as_view(), name="api-containment"),
    re_path(rf"{_CONTAINMENT}/parts/?$", containment.ContainmentPartsView.as_view(), name="containment-parts"),
    re_path(rf"{_CONTAINMENT}/csv/?$", containment.ContainmentCsvView.as_view(), name="containment-csv"),
    re_path(rf"{_CONTAINMENT}/pdf/?$", containment.ContainmentPdfView.as_view(), name="containment-pdf"),
    re_path(
        r"^measurement-studies/?$",
        measurement_system.MeasurementStudiesView.as_view(),
        name="api-measurement-studies",
    ),
    re_path(rf"{_STUDY}/?$", measurement_system.MeasurementStudyView.as_view(), name="api-measurement-study"),
    re_path(rf"{_STUDY}/task/?$", measurement_system.MeasurementStudyTaskView.as_view(), name="measurement-study-task"),
    re_path(
        rf"{_STUDY}/image/?$", measurement_system.MeasurementStudyImageView.as_view(), name="measurement-study-image"
    ),
    re_path(rf"{_STUDY}/pdf/?$", measurement_system.MeasurementStudyPdfView.as_view(), name="measurement-study-pdf"),
    re_path(r"^threshold-promises/?$", promises.PromisesView.as_view(), name="api-promises"),
    re_path(rf"^threshold-promises/(?P<threshold_id>{_ID})/?$", promises.PromiseView.as_view(), name="api-promise"),
    re_path(rf"{_PART}/image/?$", random_audit.BlindReviewImageView.as_view(), name="api-blind-review-image"),
    re_path(rf"{_QUEUE}/?$", review_queue.ReviewQueueView.as_view(), name="api-review-queue"),
    re_path(rf"{_QUEUE}/next/?$", review_queue.NextCardView.as_view(), name="review-queue-next"),
    re_path(rf"{_QUEUE}/budget/?$", review_queue.ReviewBudgetView.as_view(), name="api-review-budget"),
    re_path(rf"^review-cards/(?P<card_id>{_ID})/?$", review_queue.QueueCardView.as_view(), name="api-review-card"),
]
