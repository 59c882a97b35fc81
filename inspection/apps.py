from django.apps import AppConfig


class InspectionConfig(AppConfig):
    """Requests to judge images, batches of them, and the records that stay."""

    name = "inspection"

    def ready(self) -> None:
        from inspection.audited_rows import INSPECTIONS, PARTS, REVIEWS
        from inspection.derived_rows import (
            check_part_requests,
            check_part_verdicts,
            check_part_views,
            check_requests,
            check_sizes,
            check_standings,
        )
        from inspection.judging.selectors import review_ids_of
        from records.audit import related
        from records.audit.chain import audited_rows, derived_rows

        audited_rows.register(INSPECTIONS)
        audited_rows.register(REVIEWS)
        audited_rows.register(PARTS)
        derived_rows.register_derived("inspection.standing", check_standings)
        derived_rows.register_derived("inspection.inspectionrequest", check_requests)
        derived_rows.register_derived("inspection.sizes", check_sizes)
        derived_rows.register_derived("inspection.partinspectionview", check_part_verdicts)
        derived_rows.register_derived("inspection.partrequest", check_part_requests)
        derived_rows.register_derived("inspection.partrequestview", check_part_views)
        related.register(INSPECTIONS.object_type, REVIEWS.object_type, review_ids_of)
