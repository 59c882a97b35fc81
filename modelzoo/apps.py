from django.apps import AppConfig


class ModelzooConfig(AppConfig):
    """Detectors, their trained versions, thresholds and deployments."""

    name = "modelzoo"

    def ready(self) -> None:
        from modelzoo.attested_files import ARTIFACTS
        from modelzoo.audited_rows import THRESHOLDS
        from modelzoo.models import ModelVersion
        from records.audit.chain.audited_rows import register
        from records.audit.chain.named_files import register_files

        register(THRESHOLDS)
        register_files(ModelVersion._meta.label_lower, ARTIFACTS)
