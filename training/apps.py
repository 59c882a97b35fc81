from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data sets, training runs, evaluations."""

    name = "training"
