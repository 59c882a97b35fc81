from django.apps import AppConfig


class ModelzooConfig(AppConfig):
    """Detectors, their trained versions, thresholds and deployments."""

    name = "modelzoo"
