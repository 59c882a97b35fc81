"""Approval by a second person, and what a version must show before it goes into production."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, with_triggers_elsewhere


def approved_to_candidate(apps, schema):
    """Backwards: there is no stage `approved` before this migration."""
    apps.get_model("modelzoo", "ModelVersion").objects.filter(stage="approved").update(stage="candidate")


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0013_version_origin'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('approved', models.BooleanField(help_text='false: the approval before it is withdrawn')),
                ('reason', models.CharField(max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='PromotionGates',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dataset_name', models.CharField(blank=True, help_text='the reference set: recall and false-reject rate are those of its test images', max_length=100)),
                ('min_recall', models.FloatField(blank=True, help_text='share of the defects that must be detected', null=True)),
                ('max_false_reject_rate', models.FloatField(blank=True, help_text='share of the good parts that may be rejected', null=True)),
                ('min_lamp_tolerance', models.FloatField(blank=True, help_text='share by which the lamp may become darker and brighter (robustness)', null=True)),
                ('refuse_shortcut_warning', models.BooleanField(default=False)),
                ('verify_artifact', models.BooleanField(default=False, help_text='read every byte of the artifact and compare hashes')),
                ('reason', models.CharField(max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'promotion gates',
                'ordering': ['-id'],
            },
        ),
        *with_triggers_elsewhere([
            migrations.RemoveConstraint(
                model_name='modelversion',
                name='version_stage_is_known',
            ),
            migrations.AlterField(
                model_name='modelversion',
                name='stage',
                field=models.CharField(choices=[('candidate', 'Candidate'), ('approved', 'Approved'), ('production', 'Production'), ('archived', 'Archived')], default='candidate', max_length=16),
            ),
            migrations.AddConstraint(
                model_name='modelversion',
                constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['candidate', 'approved', 'production', 'archived'])), name='version_stage_is_known'),
            ),
        ]),
        migrations.AddField(
            model_name='approval',
            name='author',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='approval',
            name='model_version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='modelzoo.modelversion'),
        ),
        migrations.AddField(
            model_name='promotiongates',
            name='author',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='promotiongates',
            name='category',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotion_gates', to='modelzoo.category'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(fields=['model_version', '-id'], name='approval_newest_of_version'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='approval_has_a_reason'),
        ),
        migrations.AddIndex(
            model_name='promotiongates',
            index=models.Index(fields=['category', '-id'], name='gates_newest_of_category'),
        ),
        migrations.AddConstraint(
            model_name='promotiongates',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('min_recall__isnull', True), models.Q(('min_recall__gte', 0), ('min_recall__lte', 1)), _connector='OR'), models.Q(('max_false_reject_rate__isnull', True), models.Q(('max_false_reject_rate__gte', 0), ('max_false_reject_rate__lte', 1)), _connector='OR'), models.Q(('min_lamp_tolerance__isnull', True), models.Q(('min_lamp_tolerance__gte', 0), ('min_lamp_tolerance__lte', 1)), _connector='OR')), name='promotion_gate_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='promotiongates',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('max_false_reject_rate__isnull', True), ('min_recall__isnull', True)), models.Q(('dataset_name', ''), _negated=True), _connector='OR'), name='promotion_gate_of_figures_has_its_reference_set'),
        ),
        migrations.AddConstraint(
            model_name='promotiongates',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='promotion_gates_have_a_reason'),
        ),
        append_only("modelzoo_approval"),
        append_only("modelzoo_promotiongates"),
        migrations.RunPython(migrations.RunPython.noop, approved_to_candidate),
    ]
