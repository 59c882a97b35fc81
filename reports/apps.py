from django.apps import AppConfig


class ReportsConfig(AppConfig):
    """What happened in a shift, a lot or a period: as page, PDF and CSV file, issued for good, sent by schedule."""

    name = "reports"

    def ready(self) -> None:
        from records.audit.chain import audited_rows
        from reports.issued.audited_rows import REPORTS
        from reports.statements.audited_rows import STATEMENTS

        audited_rows.register(REPORTS)
        audited_rows.register(STATEMENTS)
