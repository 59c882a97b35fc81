from django.apps import AppConfig


class RetentionConfig(AppConfig):
    """How long files are kept, and their removal."""

    name = "retention"
