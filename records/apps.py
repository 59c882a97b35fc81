from django.apps import AppConfig


class RecordsConfig(AppConfig):
    """What every other app stands on: stored files (assets) and the audit chain."""

    name = "records"

    def ready(self) -> None:
        from records.audit.attestation import register_all

        register_all()
