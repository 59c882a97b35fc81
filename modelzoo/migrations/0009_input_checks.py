"""What is checked of a picture before it is judged, for each category."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0008_category_names'),
        ('records', '0002_audit_is_append_only'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='InputCheckSettings',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('size', models.CharField(choices=[('off', 'not checked'), ('warn', 'judged, with a warning'), ('refuse', 'not comparable')], default='refuse', max_length=8)),
                ('aspect', models.CharField(choices=[('off', 'not checked'), ('warn', 'judged, with a warning'), ('refuse', 'not comparable')], default='refuse', max_length=8)),
                ('colour', models.CharField(choices=[('off', 'not checked'), ('warn', 'judged, with a warning'), ('refuse', 'not comparable')], default='refuse', max_length=8)),
                ('likeness', models.CharField(choices=[('off', 'not checked'), ('warn', 'judged, with a warning'), ('refuse', 'not comparable')], default='refuse', max_length=8)),
                ('size_factor', models.FloatField(default=4.0)),
                ('aspect_percent', models.FloatField(default=5.0)),
                ('likeness_factor', models.FloatField(default=1.0)),
                ('reason', models.CharField(max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('category', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='input_check_settings', to='modelzoo.category')),
            ],
            options={
                'verbose_name_plural': 'input check settings',
                'ordering': ['-id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('aspect__in', ['off', 'warn', 'refuse']), ('colour__in', ['off', 'warn', 'refuse']), ('likeness__in', ['off', 'warn', 'refuse']), ('size__in', ['off', 'warn', 'refuse'])), name='input_check_action_is_known'), models.CheckConstraint(condition=models.Q(('aspect_percent__gte', 0), ('aspect_percent__lte', 1000), ('likeness_factor__gt', 0), ('likeness_factor__lte', 100), ('size_factor__gt', 1), ('size_factor__lte', 100)), name='input_check_tolerances_are_in_range')],
            },
        ),
        append_only("modelzoo_inputchecksettings"),
    ]
