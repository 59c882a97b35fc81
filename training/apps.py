from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data sets, training runs, evaluations."""

    name = "training"

    def ready(self) -> None:
        from modelzoo.transfer import reports
        from training.report.file import newest_report

        reports.register(newest_report)
