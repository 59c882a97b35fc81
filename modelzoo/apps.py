from django.apps import AppConfig


class ModelzooConfig(AppConfig):
    """Detectors, their trained versions, thresholds and deployments."""

    name = "modelzoo"

    def ready(self) -> None:
        from modelzoo.audited_rows import THRESHOLDS
        from records.audit.chain.audited_rows import register

        register(THRESHOLDS)
