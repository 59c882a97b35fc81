"""`/api/` of reports. Every path works with and without a trailing slash."""

from django.urls import re_path

from reports.content import api as content
from reports.issued import api as issued
from reports.schedules import api as schedules
from reports.statements import api as statements

_ID = r"[0-9]{1,18}"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_STATEMENT = rf"^issued-statements/(?P<statement_id>{_UUID})"
_REPORT = rf"^issued-reports/(?P<report_id>{_UUID})"

urlpatterns = [
    re_path(r"^report/?$", content.ReportView.as_view(), name="api-report"),
    re_path(r"^report/csv/?$", content.ReportCsvView.as_view(), name="report-csv"),
    re_path(r"^report/pdf/?$", content.ReportPdfView.as_view(), name="report-pdf"),
    re_path(r"^issued-reports/?$", issued.IssuedReportsView.as_view(), name="api-issued-reports"),
    re_path(rf"{_REPORT}/?$", issued.IssuedReportView.as_view(), name="api-issued-report"),
    re_path(rf"{_REPORT}/json/?$", issued.IssuedReportJsonView.as_view(), name="issued-report-json"),
    re_path(rf"{_REPORT}/csv/?$", issued.IssuedReportCsvView.as_view(), name="issued-report-csv"),
    re_path(rf"{_REPORT}/pdf/?$", issued.IssuedReportPdfView.as_view(), name="issued-report-pdf"),
    re_path(r"^report-schedules/?$", schedules.SchedulesView.as_view(), name="api-report-schedules"),
    re_path(
        rf"^report-schedules/(?P<schedule_id>{_ID})/?$", schedules.ScheduleView.as_view(), name="api-report-schedule"
    ),
    re_path(r"^statement/?$", statements.StatementView.as_view(), name="api-statement-now"),
    re_path(r"^issued-statements/?$", statements.IssuedStatementsView.as_view(), name="api-statements"),
    re_path(rf"{_STATEMENT}/?$", statements.IssuedStatementView.as_view(), name="api-statement"),
    re_path(rf"{_STATEMENT}/json/?$", statements.StatementJsonView.as_view(), name="statement-json"),
    re_path(rf"{_STATEMENT}/pdf/?$", statements.StatementPdfView.as_view(), name="statement-pdf"),
]
