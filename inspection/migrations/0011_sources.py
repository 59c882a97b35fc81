"""An index for the way that images came, of which some are rare."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0010_marked_soon'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['source', 'created_at', 'id'], name='inspections_by_source'),
        ),
    ]
