from django.db import migrations

from records.triggers import append_only, refuse_insert_unless


class Migration(migrations.Migration):
    dependencies = [("inspection", "0001_initial"), ("records", "0002_audit_is_append_only")]

    operations = [
        append_only("inspection_inspection"),
        refuse_insert_unless(
            "inspection_inspection",
            "inspection_judged_by_its_own_model",
            "EXISTS (SELECT 1 FROM modelzoo_threshold t"
            " WHERE t.id = NEW.threshold_id AND t.model_version_id = NEW.model_version_id)"
            " AND (NEW.deployment_id IS NULL OR EXISTS (SELECT 1 FROM modelzoo_deployment d"
            " WHERE d.id = NEW.deployment_id AND d.model_version_id = NEW.model_version_id))",
            "the threshold or deployment belongs to another model version",
        ),
    ]
