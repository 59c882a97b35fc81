"""Indexes for the search of the history, and for its orders by score and by margin."""

import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0015_input_findings'),
        ('modelzoo', '0008_category_names'),
        ('records', '0006_verifications'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['filename'], name='inspections_by_filename', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['lot'], name='inspections_by_lot_prefix', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['part_number'], name='inspections_by_part_prefix', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['score', 'id'], name='inspections_score_order'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['category', 'score', 'id'], name='inspections_category_score'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('score'), '-', models.F('threshold_value')), models.F('id'), name='inspections_margin_order'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(models.F('category'), django.db.models.expressions.CombinedExpression(models.F('score'), '-', models.F('threshold_value')), models.F('id'), name='inspections_category_margin'),
        ),
    ]
