from django.apps import AppConfig


class RolloutConfig(AppConfig):
    """Trying a version on the line before it judges all of it."""

    name = "rollout"

    def ready(self) -> None:
        from modelzoo.lifecycle.selectors import register_gate_check
        from records.audit.chain import audited_rows
        from rollout.challengers.audited_rows import MARKS, SLICES
        from rollout.challengers.gate import check_live_images

        audited_rows.register(SLICES)
        audited_rows.register(MARKS)
        register_gate_check(check_live_images)
