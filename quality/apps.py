from django.apps import AppConfig


class QualityConfig(AppConfig):
    """Proof of how good the verdicts are: random audits of passed parts, and what follows from an escape."""

    name = "quality"

    def ready(self) -> None:
        from quality.random_audit.audited_rows import DECISIONS, SHIFTS
        from records.audit.chain import audited_rows

        audited_rows.register(SHIFTS)
        audited_rows.register(DECISIONS)
