"""Indexes for what retention asks of assets: which files are still there, which are still to be deleted."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0004_checkpoints'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='asset',
            index=models.Index(condition=models.Q(('discarded_at__isnull', True)), fields=['id'], name='assets_with_a_file'),
        ),
        migrations.AddIndex(
            model_name='asset',
            index=models.Index(condition=models.Q(('discarded_at__isnull', False), models.Q(('file', ''), _negated=True)), fields=['id'], name='assets_to_be_deleted'),
        ),
    ]
