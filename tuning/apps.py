from django.apps import AppConfig


class TuningConfig(AppConfig):
    """Another threshold or another version over what was judged, and training again with what was reviewed."""

    name = "tuning"

    def ready(self) -> None:
        from modelzoo.lifecycle.selectors import register_gate_check
        from records.audit.chain import audited_rows
        from tuning.retraining.audited_rows import COMPARISONS
        from tuning.retraining.gate import check_same_images

        audited_rows.register(COMPARISONS)
        register_gate_check(check_same_images)
