"""Runs that score a past period again, and their results, which are appended and never changed."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, refuse_insert_unless


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('inspection', '0005_reviews_keys_categories'),
        ('modelzoo', '0005_threshold_evidence'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='RescoringRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('device_requested', models.CharField(max_length=16)),
                ('runtime', models.CharField(choices=[('torch', 'Torch'), ('compile', 'torch.compile'), ('onnxruntime', 'ONNX Runtime'), ('openvino', 'OpenVINO')], max_length=16)),
                ('precision', models.CharField(choices=[('auto', 'Auto'), ('fp32', 'Fp32'), ('bf16', 'Bf16'), ('int8', 'Int8')], help_text='what was asked for', max_length=8)),
                ('precision_chosen', models.CharField(blank=True, help_text='by the first worker, and kept to by all that come after it', max_length=8)),
                ('filters', models.JSONField(help_text='which records, frozen when the run was requested')),
                ('reason', models.CharField(max_length=500)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('finished', 'Finished'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=16)),
                ('total', models.PositiveIntegerField(help_text='records that the filters meant when the run was requested')),
                ('done', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('changed', models.PositiveIntegerField(default=0, help_text='of those done: the outcome is not that of the record')),
                ('reached_at', models.DateTimeField(blank=True, null=True)),
                ('reached_id', models.UUIDField(blank=True, null=True)),
                ('begun', models.PositiveIntegerField(default=0)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('claim', models.UUIDField(blank=True, null=True)),
                ('worker', models.CharField(blank=True, max_length=100)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('error_code', models.CharField(blank=True, max_length=64)),
                ('error', models.TextField(blank=True)),
                ('rank_correlation', models.FloatField(blank=True, help_text="Spearman's, of the scores of the records and the new ones; set at the end", null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('model_version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rescorings', to='modelzoo.modelversion')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('threshold', models.ForeignKey(help_text='in force when the run was asked for', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='modelzoo.threshold')),
            ],
            options={
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='Rescored',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(blank=True, choices=[('good', 'good'), ('defective', 'defective'), ('not_comparable', 'not comparable')], max_length=16)),
                ('score', models.FloatField(blank=True, null=True)),
                ('p_value', models.FloatField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, help_text='why it cannot be compared, for programs', max_length=32)),
                ('error_code', models.CharField(blank=True, help_text='why there is no outcome', max_length=64)),
                ('inspection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rescored', to='inspection.inspection')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='results', to='tuning.rescoringrun')),
            ],
            options={
                'verbose_name_plural': 'rescored',
                'ordering': ['-id'],
            },
        ),
        migrations.AddIndex(
            model_name='rescoringrun',
            index=models.Index(fields=['-created_at', '-id'], name='rescorings_newest_first'),
        ),
        migrations.AddIndex(
            model_name='rescoringrun',
            index=models.Index(condition=models.Q(('status__in', ['queued', 'running'])), fields=['lease_expires_at'], name='open_rescorings_by_lease'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'finished', 'failed', 'cancelled'])), name='rescoring_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ['queued', 'running'])), models.Q(('claim__isnull', True), ('finished_at__isnull', False), ('status__in', ['finished', 'failed', 'cancelled'])), _connector='OR'), name='ended_rescoring_has_an_end'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error_code', ''), _negated=True)), models.Q(models.Q(('status', 'failed'), _negated=True), ('error_code', '')), _connector='OR'), name='failed_rescoring_says_why'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='rescoring_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(('changed__lte', models.F('done'))), name='rescoring_changed_are_done'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reached_at__isnull', True), ('reached_id__isnull', True)), models.Q(('reached_at__isnull', False), ('reached_id__isnull', False)), _connector='OR'), name='rescoring_place_is_whole'),
        ),
        migrations.AddConstraint(
            model_name='rescoringrun',
            constraint=models.CheckConstraint(condition=models.Q(('rank_correlation__isnull', True), models.Q(('rank_correlation__gte', -1), ('rank_correlation__lte', 1)), _connector='OR'), name='rescoring_correlation_is_one'),
        ),
        migrations.AddIndex(
            model_name='rescored',
            index=models.Index(fields=['run', '-id'], name='rescored_of_run_in_order'),
        ),
        migrations.AddConstraint(
            model_name='rescored',
            constraint=models.UniqueConstraint(fields=('run', 'inspection'), name='rescored_once_in_a_run'),
        ),
        migrations.AddConstraint(
            model_name='rescored',
            constraint=models.CheckConstraint(condition=models.Q(('score__gte', -1.7976931348623157e+308), ('score__lte', 1.7976931348623157e+308)), name='rescored_score_is_finite'),
        ),
        migrations.AddConstraint(
            model_name='rescored',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('error_code', ''), ('outcome__in', ['good', 'defective']), ('reason', ''), ('score__isnull', False)), models.Q(('error_code', ''), ('outcome', 'not_comparable'), ('score__isnull', True), models.Q(('reason', ''), _negated=True)), models.Q(('outcome', ''), ('reason', ''), ('score__isnull', True), models.Q(('error_code', ''), _negated=True)), _connector='OR'), name='rescored_or_says_why_not'),
        ),
        migrations.AddConstraint(
            model_name='rescored',
            constraint=models.CheckConstraint(condition=models.Q(('p_value__isnull', True), models.Q(('p_value__gt', 0), ('p_value__lte', 1), ('score__isnull', False)), _connector='OR'), name='rescored_p_value_is_a_probability'),
        ),
        refuse_insert_unless(
            "tuning_rescoringrun",
            "rescoring_by_its_own_threshold",
            "EXISTS (SELECT 1 FROM modelzoo_threshold t"
            " WHERE t.id = NEW.threshold_id AND t.model_version_id = NEW.model_version_id)",
            "the threshold belongs to another model version",
        ),
        append_only("tuning_rescored"),
        refuse_insert_unless(
            "tuning_rescored",
            "rescored_verdict_follows_from_score",
            "NEW.score IS NULL OR EXISTS (SELECT 1 FROM tuning_rescoringrun r"
            " JOIN modelzoo_threshold t ON t.id = r.threshold_id"
            " WHERE r.id = NEW.run_id AND (NEW.score > t.value) = (NEW.outcome = 'defective'))",
            "the verdict does not follow from the score",
        ),
    ]
