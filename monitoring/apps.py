from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Whether models still see what they were trained on, and what was done where they did not."""

    name = "monitoring"

    def ready(self) -> None:
        from monitoring.reference_parts.derived_rows import check_reference_checks
        from records.audit.chain.derived_rows import register_derived

        register_derived("monitoring.referencecheck", check_reference_checks)
