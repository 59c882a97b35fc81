from django.apps import AppConfig


class InspectionConfig(AppConfig):
    """Requests to judge images, batches of them, and the records that stay."""

    name = "inspection"

    def ready(self) -> None:
        from inspection.attested import INSPECTIONS, REVIEWS
        from records.attest import register

        register(INSPECTIONS)
        register(REVIEWS)
