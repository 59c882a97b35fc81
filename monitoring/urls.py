"""Pages of monitoring."""

from django.urls import path

from monitoring.alarms import views as alarms
from monitoring.drift import views as drift
from monitoring.reference_parts import views as reference_parts

urlpatterns = [
    path("monitoring/", drift.monitoring, name="monitoring"),
    path("monitoring/drift/<int:monitor_id>/", drift.monitor, name="drift-monitor"),
    path("monitoring/drift/<int:monitor_id>/restart", drift.restart, name="drift-restart"),
    path("monitoring/alarms/<int:alarm_id>/", alarms.alarm, name="alarm"),
    path("monitoring/alarms/<int:alarm_id>/acknowledge", alarms.acknowledge, name="alarm-acknowledge"),
    path("monitoring/alarms/<int:alarm_id>/comment", alarms.comment, name="alarm-comment"),
    path("monitoring/alarms/<int:alarm_id>/resolve", alarms.resolve, name="alarm-resolve"),
    path("monitoring/reference-parts/", reference_parts.reference_parts, name="reference-parts"),
    path("monitoring/reference-parts/add", reference_parts.add, name="reference-part-add"),
    path("monitoring/reference-parts/<int:part_id>/", reference_parts.reference_part, name="reference-part"),
    path("monitoring/reference-parts/<int:part_id>/retire", reference_parts.retire, name="reference-part-retire"),
]
