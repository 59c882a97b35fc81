from django.apps import AppConfig


class EdgeConfig(AppConfig):
    """Where the line meets the system: verdicts that go out to it, triggers and pictures that come in."""

    name = "edge"

    def ready(self) -> None:
        from edge.deliveries.services import (
            write_expected_verdicts,
            write_expected_verdicts_of_part,
            write_no_verdict,
            write_verdict,
            write_verdict_of_part,
            write_view,
        )
        from inspection.endings import (
            register_gathered,
            register_part_recorded,
            register_recorded,
            register_requested,
            register_unjudged,
            register_view_recorded,
        )

        register_requested(write_expected_verdicts)
        register_recorded(write_verdict)
        register_view_recorded(write_view)
        register_unjudged(write_no_verdict)
        register_gathered(write_expected_verdicts_of_part)
        register_part_recorded(write_verdict_of_part)
