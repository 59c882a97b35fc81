"""INSERT OR REPLACE is refused too, on every append-only table that there was before it was.

Apps above made those tables, so this one comes after all of them.
"""

from django.db import migrations

from records.triggers import refuse_replacing

TABLES = (
    "inspection_inspection",
    "inspection_review",
    "modelzoo_approval",
    "modelzoo_inputchecksettings",
    "modelzoo_promotiongates",
    "modelzoo_signaturerules",
    "modelzoo_threshold",
    "monitoring_alarmcomment",
    "monitoring_referencecheck",
    "quality_auditedshift",
    "quality_blinddecision",
    "quality_containedpart",
    "quality_drawnpart",
    "quality_promiseresult",
    "quality_queuedecision",
    "quality_reviewbudget",
    "quality_samplingplan",
    "quality_studyanswer",
    "quality_studyappraiser",
    "quality_studypart",
    "records_auditcheckpoint",
    "records_auditevent",
    "reports_issuedreport",
    "retention_retentionpolicy",
    "rollout_challengerresult",
    "rollout_challengerslice",
    "rollout_disagreementmark",
    "tuning_rescored",
)


class Migration(migrations.Migration):
    dependencies = [
        ("records", "0007_refused_images"),
        ("inspection", "0019_requests_without_record"),
        ("modelzoo", "0018_canary_by_station"),
        ("monitoring", "0003_batch_charts"),
        ("quality", "0006_measurement_system"),
        ("reports", "0001_reports"),
        ("retention", "0001_policies_and_runs"),
        ("rollout", "0001_initial"),
        ("tuning", "0004_retraining"),
    ]

    operations = [refuse_replacing(TABLES)]
