"""An index for what-if."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0008_saved_views'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['model_version', 'score', 'outcome', 'created_at'], name='inspections_by_score'),
        ),
    ]
