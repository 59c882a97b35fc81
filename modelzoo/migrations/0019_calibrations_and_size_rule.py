"""How many millimetres a pixel stands for at a station, and the size rule of a threshold's revision.

SQLite writes the table of thresholds anew for its constraint, which drops its triggers: they are taken away first and
put back last.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only, on_sqlite, with_triggers_elsewhere

_TRIGGERS = on_sqlite(append_only("modelzoo_threshold"))


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0018_canary_by_station'),
        ('records', '0009_authenticators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ScaleCalibration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('station', models.CharField(blank=True, help_text='empty: images that name no station', max_length=100)),
                ('revision', models.PositiveIntegerField()),
                ('method', models.CharField(choices=[('known_length', 'Known length'), ('checkerboard', 'Checkerboard'), ('withdrawn', 'Withdrawn')], max_length=16)),
                ('mm_per_px', models.FloatField(blank=True, help_text='empty where it is withdrawn', null=True)),
                ('uncertainty_percent', models.FloatField(blank=True, help_text='standard uncertainty of a length', null=True)),
                ('variation_percent', models.FloatField(blank=True, help_text='by how much the scale differs over the board; empty where it was not measured', null=True)),
                ('width', models.PositiveIntegerField(blank=True, help_text='of the pictures that it is valid for', null=True)),
                ('height', models.PositiveIntegerField(blank=True, null=True)),
                ('parameters', models.JSONField(blank=True, default=dict, help_text='what was measured, and what came of it')),
                ('reason', models.CharField(max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.RunPython(_TRIGGERS.reverse_code, _TRIGGERS.code),
        *with_triggers_elsewhere([
            migrations.AddField(
                model_name='threshold',
                name='min_region_mm2',
                field=models.FloatField(blank=True, help_text='regions of a smaller area are ignored; empty: none is', null=True),
            ),
            migrations.AddField(
                model_name='threshold',
                name='severity_grades',
                field=models.JSONField(blank=True, help_text='from the mildest: name, smallest area (min_area_mm2) and peak (min_peak); empty: none', null=True),
            ),
            migrations.AddConstraint(
                model_name='threshold',
                constraint=models.CheckConstraint(condition=models.Q(('min_region_mm2__isnull', True), models.Q(('min_region_mm2__gt', 0), ('min_region_mm2__lte', 1.7976931348623157e+308)), _connector='OR'), name='smallest_region_is_an_area'),
            ),
        ]),
        _TRIGGERS,
        migrations.AddField(
            model_name='scalecalibration',
            name='author',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='scalecalibration',
            name='category',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='calibrations', to='modelzoo.category'),
        ),
        migrations.AddField(
            model_name='scalecalibration',
            name='picture',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='records.asset'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.UniqueConstraint(fields=('category', 'station', 'revision'), name='calibration_revision_is_unique_at_station'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.CheckConstraint(condition=models.Q(('revision__gte', 1)), name='calibration_revision_from_one'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.CheckConstraint(condition=models.Q(('method__in', ['known_length', 'checkerboard', 'withdrawn'])), name='calibration_method_is_known'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('height__isnull', True), ('method', 'withdrawn'), ('mm_per_px__isnull', True), ('picture__isnull', True), ('uncertainty_percent__isnull', True), ('width__isnull', True)), models.Q(models.Q(('method', 'withdrawn'), _negated=True), ('height__gt', 0), ('height__isnull', False), ('mm_per_px__gt', 0), ('mm_per_px__isnull', False), ('mm_per_px__lte', 1000000.0), ('picture__isnull', False), ('uncertainty_percent__gte', 0), ('uncertainty_percent__isnull', False), ('uncertainty_percent__lte', 1000), ('width__gt', 0), ('width__isnull', False)), _connector='OR'), name='calibration_has_its_scale_and_picture'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.CheckConstraint(condition=models.Q(('variation_percent__isnull', True), models.Q(('method', 'checkerboard'), ('variation_percent__gte', 0), ('variation_percent__lte', 1000)), _connector='OR'), name='calibration_variation_is_that_of_a_board'),
        ),
        migrations.AddConstraint(
            model_name='scalecalibration',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='calibration_has_a_reason'),
        ),
        append_only("modelzoo_scalecalibration"),
    ]
