"""A third outcome beside good and defective, defect regions, and the place of a score among good parts.

The records' triggers refuse every UPDATE, and SQLite drops them with each table that it writes anew: they are taken
away first and put back last, within the one transaction of this migration.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

from records.triggers import append_only, refuse_insert_unless

def _triggers():
    return [
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


def _name_the_outcome(apps, schema):
    records = apps.get_model("inspection", "Inspection").objects.using(schema.connection.alias)
    records.filter(is_defective=True).update(outcome="defective")
    records.filter(is_defective=False).update(outcome="good")
    _settle(schema)


def _back_to_two_outcomes(apps, schema):
    records = apps.get_model("inspection", "Inspection").objects.using(schema.connection.alias)
    third = records.filter(outcome="not_comparable").count()
    if third:
        raise ValueError(
            f"{third} inspections ended as not comparable, which the earlier version cannot express. Nothing was "
            "changed. Go back to a backup from before this migration instead."
        )
    records.update(is_defective=Q(outcome="defective"))
    _settle(schema)


def _settle(schema):
    """PostgreSQL alters no table whose changes still wait for a check at the end of the transaction."""
    if schema.connection.vendor == "postgresql":
        schema.execute("SET CONSTRAINTS ALL IMMEDIATE", params=None)


class Migration(migrations.Migration):
    dependencies = [("inspection", "0002_records_stay")]

    operations = [
        *(migrations.RunPython(trigger.reverse_code, trigger.code) for trigger in reversed(_triggers())),
        migrations.RemoveConstraint("inspection", "verdict_follows_from_score"),
        migrations.AddField("inspection", "outcome", models.CharField(max_length=16, null=True)),
        migrations.AlterField("inspection", "is_defective", models.BooleanField(null=True)),
        migrations.AlterField("inspection", "score", models.FloatField(blank=True, null=True)),
        migrations.AlterField(
            "inspection",
            "map",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="records.asset",
            ),
        ),
        migrations.AlterField("inspection", "map_maximum", models.FloatField(blank=True, null=True)),
        migrations.RunPython(_name_the_outcome, _back_to_two_outcomes),
        migrations.AlterField(
            "inspection",
            "outcome",
            models.CharField(
                choices=[
                    ("good", "good"),
                    ("defective", "defective"),
                    ("not_comparable", "not comparable"),
                ],
                max_length=16,
            ),
        ),
        migrations.RemoveField("inspection", "is_defective"),
        migrations.AddField(
            "inspection",
            "reason",
            models.CharField(
                blank=True, default="", help_text="why it cannot be compared, for programs", max_length=32
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "inspection",
            "explanation",
            models.CharField(
                blank=True, default="", help_text="why it cannot be compared, for people", max_length=500
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "inspection",
            "p_value",
            models.FloatField(
                blank=True,
                help_text="share of good parts at least as anomalous; empty in records older than it",
                null=True,
            ),
        ),
        migrations.AddField(
            "inspection",
            "regions",
            models.JSONField(
                blank=True, help_text="connected places above the threshold, highest first", null=True
            ),
        ),
        migrations.AddField(
            "inspection",
            "region_count",
            models.PositiveIntegerField(blank=True, help_text="of all, also those not listed", null=True),
        ),
        migrations.AddField(
            "inspection",
            "largest_region_px",
            models.PositiveIntegerField(blank=True, help_text="0 where there is none", null=True),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=Q(outcome__in=["good", "defective", "not_comparable"]), name="outcome_is_known"
            ),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=Q(outcome="defective", score__isnull=False, score__gt=F("threshold_value"))
                | Q(outcome="good", score__isnull=False, score__lte=F("threshold_value"))
                | Q(outcome="not_comparable", score__isnull=True),
                name="verdict_follows_from_score",
            ),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=(Q(outcome="not_comparable") & ~Q(reason="") & ~Q(explanation=""))
                | (~Q(outcome="not_comparable") & Q(reason="", explanation="")),
                name="what_is_not_comparable_says_why",
            ),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=Q(outcome="not_comparable", map__isnull=True, map_maximum__isnull=True)
                | (~Q(outcome="not_comparable") & Q(map__isnull=False, map_maximum__isnull=False)),
                name="what_was_scored_has_a_map",
            ),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=Q(p_value__isnull=True) | (~Q(outcome="not_comparable") & Q(p_value__gt=0, p_value__lte=1)),
                name="p_value_is_a_probability",
            ),
        ),
        migrations.AddConstraint(
            "inspection",
            models.CheckConstraint(
                condition=Q(regions__isnull=True, region_count__isnull=True, largest_region_px__isnull=True)
                | (
                    Q(regions__isnull=False, region_count__isnull=False, largest_region_px__isnull=False)
                    & (Q(outcome="defective") | Q(outcome="good", region_count=0, largest_region_px=0))
                ),
                name="regions_are_those_of_a_defect",
            ),
        ),
        *_triggers(),
    ]
