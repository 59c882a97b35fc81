"""Indexes of the history: one for each filter, in its order, in place of those that foreign keys have by themselves.

SQLite writes the records' table anew for that, which drops its triggers: see 0005.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, refuse_insert_unless, with_triggers_elsewhere

_TRIGGERS = [
    append_only("inspection_inspection"),
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
    ),
]


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0005_reviews_keys_categories'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.RunPython(trigger.reverse_code, trigger.code) for trigger in reversed(_TRIGGERS)),
        *with_triggers_elsewhere(
            [
                migrations.RemoveIndex(
                    model_name='inspection',
                    name='inspections_newest_first',
                ),
                migrations.AlterField(
                    model_name='inspection',
                    name='category',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='inspections', to='modelzoo.category'),
                ),
                migrations.AlterField(
                    model_name='inspection',
                    name='model_version',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='inspections', to='modelzoo.modelversion'),
                ),
                migrations.AlterField(
                    model_name='inspection',
                    name='operator',
                    field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
                ),
                migrations.AlterField(
                    model_name='inspection',
                    name='threshold',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='inspections', to='modelzoo.threshold'),
                ),
            ]
        ),
        *_TRIGGERS,
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['created_at', 'id', 'category', 'model_version', 'threshold', 'outcome', 'score', 'station', 'lot', 'part_number', 'source', 'operator', 'serial_number'], name='inspections_newest_first'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['category', 'created_at', 'id'], name='inspections_by_category'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['outcome', 'created_at', 'id'], name='inspections_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['model_version', 'created_at', 'id'], name='inspections_by_version'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['threshold', 'created_at', 'id'], name='inspections_by_threshold'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['station', 'created_at', 'id'], name='inspections_by_station'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['lot', 'created_at', 'id'], name='inspections_by_lot'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['part_number', 'created_at', 'id'], name='inspections_by_part'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['operator', 'created_at', 'id'], name='inspections_by_operator'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['serial_number'], name='inspections_by_serial', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='standing',
            index=models.Index(fields=['inspected_at', 'inspection'], name='standings_newest_first'),
        ),
    ]
