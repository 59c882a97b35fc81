"""Reviews and where they leave a record; keys that make a repeated request one request; the category of a record.

The records' triggers refuse every UPDATE, and SQLite drops them with each table that it writes anew: they are taken
away first and put back last, within the one transaction of this migration. The one for INSERT then also sees to the
category.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, refuse_insert_unless

_OF_ITS_MODEL = (
    "EXISTS (SELECT 1 FROM modelzoo_threshold t"
    " WHERE t.id = NEW.threshold_id AND t.model_version_id = NEW.model_version_id)"
    " AND (NEW.deployment_id IS NULL OR EXISTS (SELECT 1 FROM modelzoo_deployment d"
    " WHERE d.id = NEW.deployment_id AND d.model_version_id = NEW.model_version_id))"
)
_OF_ITS_CATEGORY = (
    " AND EXISTS (SELECT 1 FROM modelzoo_modelversion v"
    " WHERE v.id = NEW.model_version_id AND v.category_id = NEW.category_id)"
)


def _triggers(condition, message):
    return [
        append_only("inspection_inspection"),
        refuse_insert_unless("inspection_inspection", "inspection_judged_by_its_own_model", condition, message),
    ]


_BEFORE = _triggers(_OF_ITS_MODEL, "the threshold or deployment belongs to another model version")
_AFTER = _triggers(
    _OF_ITS_MODEL + _OF_ITS_CATEGORY, "the threshold, deployment or category belongs to another model version"
)


def _name_the_category(apps, schema):
    schema.execute(
        "UPDATE inspection_inspection SET category_id ="
        " (SELECT v.category_id FROM modelzoo_modelversion v WHERE v.id = model_version_id)",
        params=None,
    )
    if schema.connection.vendor == "postgresql":
        # It alters no table whose changes still wait for a check at the end of the transaction.
        schema.execute("SET CONSTRAINTS ALL IMMEDIATE", params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0004_claims_by_worker'),
        ('modelzoo', '0005_threshold_evidence'),
        ('records', '0003_asset_discarded_at'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.RunPython(trigger.reverse_code, trigger.code) for trigger in reversed(_BEFORE)),
        migrations.CreateModel(
            name='Review',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='of the reviews of this record, from 1')),
                ('verdict', models.CharField(choices=[('good', 'Good'), ('defective', 'Defective')], max_length=16)),
                ('agrees', models.BooleanField(help_text='with the verdict of the record', null=True)),
                ('defect_type', models.CharField(blank=True, max_length=100)),
                ('comment', models.TextField(blank=True, max_length=2000)),
                ('regions', models.JSONField(blank=True, default=list, help_text='where it is: x, y, width, height in image pixels')),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Standing',
            fields=[
                ('inspection', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='standing', serialize=False, to='inspection.inspection')),
                ('verdict', models.CharField(choices=[('good', 'Good'), ('defective', 'Defective')], max_length=16)),
                ('defect_type', models.CharField(blank=True, max_length=100)),
                ('overruled', models.BooleanField(help_text="the last review and the model's verdict differ")),
                ('contested', models.BooleanField(help_text='its reviews differ among themselves')),
                ('reviews', models.PositiveIntegerField(help_text='how many there are')),
                ('inspected_at', models.DateTimeField(help_text="when the record was written, for the history's order")),
            ],
            options={
                'ordering': ['-inspected_at', '-inspection'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='batchrun',
            name='batch_status_is_known',
        ),
        migrations.RemoveConstraint(
            model_name='batchrun',
            name='finished_batch_has_an_end',
        ),
        migrations.RemoveConstraint(
            model_name='inspectionrequest',
            name='request_status_is_known',
        ),
        migrations.AddField(
            model_name='batchrun',
            name='cancel_requested',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='batchrun',
            name='fingerprint',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='batchrun',
            name='idempotency_key',
            field=models.CharField(blank=True, max_length=230, null=True),
        ),
        migrations.AddField(
            model_name='inspection',
            name='category',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='inspections', to='modelzoo.category'),
        ),
        migrations.RunPython(_name_the_category, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='inspection',
            name='category',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='inspections', to='modelzoo.category'),
        ),
        migrations.AddField(
            model_name='inspectionrequest',
            name='fingerprint',
            field=models.CharField(blank=True, help_text='of what was asked for with that key', max_length=64),
        ),
        migrations.AddField(
            model_name='inspectionrequest',
            name='idempotency_key',
            field=models.CharField(blank=True, max_length=230, null=True),
        ),
        migrations.AlterField(
            model_name='batchrun',
            name='status',
            field=models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('finished', 'Finished'), ('cancelled', 'Cancelled')], default='queued', max_length=16),
        ),
        migrations.AlterField(
            model_name='inspectionrequest',
            name='status',
            field=models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('expired', 'Expired'), ('cancelled', 'Cancelled')], default='queued', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='batchrun',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'finished', 'cancelled'])), name='batch_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='batchrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['finished', 'cancelled']), _negated=True), ('finished_at__isnull', False), _connector='OR'), name='finished_batch_has_an_end'),
        ),
        migrations.AddConstraint(
            model_name='batchrun',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='batch_key_is_unique'),
        ),
        migrations.AddConstraint(
            model_name='inspectionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'done', 'failed', 'expired', 'cancelled'])), name='request_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='inspectionrequest',
            constraint=models.UniqueConstraint(fields=('idempotency_key',), name='request_key_is_unique'),
        ),
        migrations.AddField(
            model_name='review',
            name='inspection',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='inspection.inspection'),
        ),
        migrations.AddField(
            model_name='review',
            name='reviewer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='standing',
            name='last_review',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inspection.review'),
        ),
        migrations.AddField(
            model_name='standing',
            name='reviewer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.UniqueConstraint(fields=('inspection', 'number'), name='review_number_is_unique'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='review_number_from_one'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['good', 'defective'])), name='review_verdict_is_known'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('verdict', 'defective'), models.Q(('defect_type', ''), ('regions', [])), _connector='OR'), name='only_defects_have_a_type_and_place'),
        ),
        migrations.AddIndex(
            model_name='standing',
            index=models.Index(fields=['reviewer', '-inspected_at'], name='standings_by_reviewer'),
        ),
        migrations.AddIndex(
            model_name='standing',
            index=models.Index(condition=models.Q(('overruled', True)), fields=['-inspected_at'], name='standings_overruled'),
        ),
        migrations.AddIndex(
            model_name='standing',
            index=models.Index(condition=models.Q(('contested', True)), fields=['-inspected_at'], name='standings_contested'),
        ),
        migrations.AddIndex(
            model_name='standing',
            index=models.Index(fields=['verdict', '-inspected_at'], name='standings_by_verdict'),
        ),
        *_AFTER,
        append_only("inspection_review"),
    ]
