"""Promotions and rollbacks are deployments with a reason; a version is in production while its deployment is active.

Until now every version stayed a candidate, whatever it served.
"""

import sys

from django.db import migrations, models
from django.db.models import Q

from records.triggers import with_triggers_elsewhere


def follow_deployments(apps, schema_editor):
    alias = schema_editor.connection.alias
    deployments = apps.get_model("modelzoo", "Deployment").objects.using(alias)
    versions = apps.get_model("modelzoo", "ModelVersion").objects.using(alias)
    active = deployments.filter(status="active").values("model_version_id")
    versions.filter(pk__in=active).update(stage="production")
    replaced = deployments.filter(status="replaced").values("model_version_id")
    versions.filter(pk__in=replaced).exclude(pk__in=active).update(stage="archived")


def all_candidates(apps, schema_editor):
    versions = apps.get_model("modelzoo", "ModelVersion").objects.using(schema_editor.connection.alias)
    versions.update(stage="candidate")


_LARGEST = sys.float_info.max


class Migration(migrations.Migration):
    dependencies = [("modelzoo", "0005_threshold_evidence")]

    operations = with_triggers_elsewhere(
        [
            migrations.AddField(
                model_name="deployment",
                name="kind",
                field=models.CharField(
                    choices=[("load", "Load"), ("promotion", "Promotion"), ("rollback", "Rollback")],
                    default="load",
                    max_length=16,
                ),
            ),
            migrations.AddField(
                model_name="deployment",
                name="reason",
                field=models.CharField(blank=True, max_length=500, default=""),
                preserve_default=False,
            ),
            migrations.AddField(
                model_name="deployment",
                name="threshold_value",
                field=models.FloatField(
                    blank=True,
                    help_text="becomes the version's next threshold revision when it is put in force",
                    null=True,
                ),
            ),
            migrations.AddField(
                model_name="deployment",
                name="threshold_reason",
                field=models.CharField(blank=True, max_length=500, default=""),
                preserve_default=False,
            ),
            migrations.AddConstraint(
                model_name="deployment",
                constraint=models.CheckConstraint(
                    condition=Q(kind="load") | (Q(kind__in=["promotion", "rollback"]) & ~Q(reason="")),
                    name="deployment_kind_is_known_and_has_its_reason",
                ),
            ),
            migrations.AddConstraint(
                model_name="deployment",
                constraint=models.CheckConstraint(
                    condition=Q(threshold_value__isnull=True, threshold_reason="")
                    | (
                        Q(threshold_value__isnull=False)
                        & Q(threshold_value__gte=-_LARGEST, threshold_value__lte=_LARGEST)
                        & ~Q(threshold_reason="")
                    ),
                    name="deployment_threshold_is_finite_and_has_its_reason",
                ),
            ),
            migrations.RunPython(follow_deployments, all_candidates),
        ]
    )
