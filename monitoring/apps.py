from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Whether models still see what they were trained on, and what was done where they did not."""

    name = "monitoring"
