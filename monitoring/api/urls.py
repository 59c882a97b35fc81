"""`/api/` of monitoring. Every path works with and without a trailing slash."""

from django.urls import re_path

from monitoring.api import views

_ID = r"[0-9]{1,18}"

urlpatterns = [
    re_path(r"^alarms/?$", views.AlarmsView.as_view(), name="api-alarms"),
    re_path(rf"^alarms/(?P<alarm_id>{_ID})/?$", views.AlarmView.as_view(), name="api-alarm"),
    re_path(
        rf"^alarms/(?P<alarm_id>{_ID})/acknowledge/?$",
        views.AlarmAcknowledgeView.as_view(),
        name="api-alarm-acknowledge",
    ),
    re_path(rf"^alarms/(?P<alarm_id>{_ID})/comments/?$", views.AlarmCommentsView.as_view(), name="api-alarm-comments"),
    re_path(rf"^alarms/(?P<alarm_id>{_ID})/resolve/?$", views.AlarmResolveView.as_view(), name="api-alarm-resolve"),
    re_path(r"^drift-monitors/?$", views.DriftMonitorsView.as_view(), name="api-drift-monitors"),
    re_path(rf"^drift-monitors/(?P<monitor_id>{_ID})/?$", views.DriftMonitorView.as_view(), name="api-drift-monitor"),
    re_path(
        rf"^drift-monitors/(?P<monitor_id>{_ID})/restart/?$",
        views.DriftRestartView.as_view(),
        name="api-drift-restart",
    ),
    re_path(r"^reference-parts/?$", views.ReferencePartsView.as_view(), name="api-reference-parts"),
    re_path(rf"^reference-parts/(?P<part_id>{_ID})/?$", views.ReferencePartView.as_view(), name="api-reference-part"),
    re_path(
        rf"^reference-parts/(?P<part_id>{_ID})/retire/?$",
        views.ReferencePartRetireView.as_view(),
        name="api-reference-part-retire",
    ),
    re_path(r"^station-states/?$", views.StationStatesView.as_view(), name="api-station-states"),
]
