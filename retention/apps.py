from django.apps import AppConfig


class RetentionConfig(AppConfig):
    """How long files are kept, and their removal."""

    name = "retention"

    def ready(self) -> None:
        from records.audit.chain.derived_rows import register_derived
        from retention.derived_rows import check_discarded

        register_derived("records.asset", check_discarded)
