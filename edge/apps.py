from django.apps import AppConfig


class EdgeConfig(AppConfig):
    """Where the line meets the system: verdicts that go out to it, triggers and pictures that come in."""

    name = "edge"

    def ready(self) -> None:
        from edge.deliveries.services import write_expected_verdicts, write_no_verdict, write_verdict
        from inspection.endings import register_recorded, register_requested, register_unjudged

        register_requested(write_expected_verdicts)
        register_recorded(write_verdict)
        register_unjudged(write_no_verdict)
