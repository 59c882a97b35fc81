"""Pages of quality."""

from django.urls import path

from quality.containment import views as containment
from quality.measurement_system import views as measurement_system
from quality.promises import views as promises
from quality.random_audit import views as random_audit
from quality.review_queue import views as review_queue

urlpatterns = [
    path("quality/", random_audit.overview, name="quality"),
    path("quality/plan", random_audit.set_plan, name="sampling-plan-set"),
    path("quality/shifts/<uuid:shift_id>/", random_audit.shift, name="audited-shift"),
    path("quality/review/", random_audit.review, name="blind-review"),
    path("quality/review/<int:part_id>", random_audit.decide, name="blind-review-decide"),
    path("quality/containment/", containment.containments, name="containments"),
    path("quality/containment/<uuid:containment_id>/", containment.containment, name="containment"),
    path("quality/studies/", measurement_system.studies, name="measurement-studies"),
    path("quality/studies/<uuid:study_id>/", measurement_system.study, name="measurement-study"),
    path("quality/studies/<uuid:study_id>/judge", measurement_system.judge, name="measurement-study-judge"),
    path("quality/promises/", promises.promises, name="promises"),
    path("quality/queue/", review_queue.queue, name="review-queue"),
    path("quality/queue/take", review_queue.take, name="review-queue-take"),
    path("quality/queue/budget", review_queue.set_budget, name="review-budget-set"),
    path("quality/queue/<int:card_id>", review_queue.decide, name="review-queue-decide"),
]
