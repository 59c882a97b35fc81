"""Pages of reports."""

from django.urls import path

from reports.content import views as content
from reports.issued import views as issued
from reports.schedules import views as schedules
from reports.statements import views as statements

urlpatterns = [
    path("reports/", content.report, name="reports"),
    path("reports/pictures/<uuid:inspection_id>", content.picture, name="report-picture"),
    path("reports/issue", issued.issue, name="report-issue"),
    path("reports/issued/", issued.issued_reports, name="issued-reports"),
    path("reports/issued/<uuid:report_id>/", issued.issued_report, name="issued-report"),
    path("reports/schedules/", schedules.schedules, name="report-schedules"),
    path("reports/schedules/<int:schedule_id>/", schedules.schedule, name="report-schedule"),
    path("reports/schedules/<int:schedule_id>/end", schedules.end, name="report-schedule-end"),
    path("reports/statements/", statements.statements, name="statements"),
    path("reports/statements/issue", statements.issue, name="statement-issue"),
    path("reports/statements/<uuid:statement_id>/", statements.statement, name="statement"),
]
