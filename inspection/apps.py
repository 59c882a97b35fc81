from django.apps import AppConfig


class InspectionConfig(AppConfig):
    """Requests to judge images, batches of them, and the records that stay."""

    name = "inspection"
