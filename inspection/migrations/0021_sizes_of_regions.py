"""With which scale a record's regions were measured, and what the size rule made of them.

SQLite writes the records' table anew for the constraints, which drops its triggers: see 0005. PostgreSQL keeps them, and
those of the parts of a divided history. Another one then sees to the calibration.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, on_sqlite, refuse_insert_unless, with_triggers_elsewhere

_OF_ITS_STATION = refuse_insert_unless(
    "inspection_inspection",
    "inspection_measured_with_its_own_scale",
    "NEW.calibration_id IS NULL OR EXISTS (SELECT 1 FROM modelzoo_scalecalibration c"
    " WHERE c.id = NEW.calibration_id AND c.category_id = NEW.category_id AND c.station = NEW.station"
    " AND c.mm_per_px IS NOT NULL)",
    "the calibration belongs to another station or category, or is withdrawn",
)
_TRIGGERS = [
    on_sqlite(append_only("inspection_inspection")),
    on_sqlite(
        refuse_insert_unless(
            "inspection_inspection",
            "inspection_judged_by_its_own_model",
            "EXISTS (SELECT 1 FROM modelzoo_threshold t"
            " WHERE t.id = NEW.threshold_id AND t.model_version_id = NEW.model_version_id)"
            " AND (NEW.deployment_id IS NULL OR EXISTS (SELECT 1 FROM modelzoo_deployment d"
            " WHERE d.id = NEW.deployment_id AND d.model_version_id = NEW.model_version_id))"
            " AND EXISTS (SELECT 1 FROM modelzoo_modelversion v"
            " WHERE v.id = NEW.model_version_id AND v.category_id = NEW.category_id)",
            "the threshold, deployment or category belongs to another model version",
        )
    ),
]


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0020_time_ordered_keys'),
        ('modelzoo', '0019_calibrations_and_size_rule'),
        ('records', '0009_authenticators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.RunPython(trigger.reverse_code, trigger.code) for trigger in reversed(_TRIGGERS)),
        *with_triggers_elsewhere([
            migrations.RemoveConstraint(
                model_name='inspection',
                name='verdict_follows_from_score',
            ),
            migrations.RemoveConstraint(
                model_name='inspection',
                name='regions_are_those_of_a_defect',
            ),
            migrations.AddField(
                model_name='inspection',
                name='calibration',
                field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='modelzoo.scalecalibration'),
            ),
            migrations.AddField(
                model_name='inspection',
                name='ignored_region_count',
                field=models.PositiveIntegerField(blank=True, help_text='of all regions above the threshold, those that the size rule ignored', null=True),
            ),
            migrations.AddField(
                model_name='inspection',
                name='min_region_px',
                field=models.FloatField(blank=True, help_text='area in pixels below which regions were ignored; empty: none was', null=True),
            ),
            migrations.AddField(
                model_name='inspection',
                name='severity',
                field=models.CharField(blank=True, help_text='the most severe grade of its regions; empty: none', max_length=30, null=True),
            ),
            migrations.AddConstraint(
                model_name='inspection',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'defective'), ('score__gt', models.F('threshold_value')), ('score__isnull', False), models.Q(('min_region_px__isnull', True), ('largest_region_px', 0), ('largest_region_px__gte', models.F('min_region_px')), _connector='OR')), models.Q(('outcome', 'good'), ('score__isnull', False), ('score__lte', models.F('threshold_value'))), models.Q(('largest_region_px__gt', 0), ('largest_region_px__lt', models.F('min_region_px')), ('min_region_px__isnull', False), ('outcome', 'good'), ('score__isnull', False)), models.Q(('outcome', 'not_comparable'), ('score__isnull', True)), _connector='OR'), name='verdict_follows_from_score'),
            ),
            migrations.AddConstraint(
                model_name='inspection',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('ignored_region_count__isnull', True), ('min_region_px__isnull', True)), models.Q(('calibration__isnull', False), ('ignored_region_count__isnull', False), ('ignored_region_count__lte', models.F('region_count')), ('min_region_px__gt', 0), ('min_region_px__isnull', False), ('min_region_px__lte', 1.7976931348623157e+308), ('region_count__isnull', False)), _connector='OR'), name='size_rule_was_applied_to_measured_regions'),
            ),
            migrations.AddConstraint(
                model_name='inspection',
                constraint=models.CheckConstraint(condition=models.Q(('severity__isnull', True), models.Q(('calibration__isnull', False), ('outcome', 'defective')), _connector='OR'), name='severity_is_that_of_a_measured_defect'),
            ),
            migrations.AddConstraint(
                model_name='inspection',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('largest_region_px__isnull', True), ('region_count__isnull', True), ('regions__isnull', True)), models.Q(('largest_region_px__isnull', False), ('region_count__isnull', False), ('regions__isnull', False), models.Q(('outcome', 'defective'), models.Q(('largest_region_px', 0), ('outcome', 'good'), ('region_count', 0)), models.Q(('outcome', 'good'), ('score__gt', models.F('threshold_value'))), _connector='OR')), _connector='OR'), name='regions_are_those_of_a_defect'),
            ),
        ]),
        *_TRIGGERS,
        _OF_ITS_STATION,
    ]
