"""Batches of a server-side folder: where it is, and which file of it an item is, until a worker reads it."""

from django.conf import settings
from django.db import migrations, models


def _give_up_what_is_unread(apps, schema):
    """On the way back: before this, what had no image had failed."""
    schema.execute(
        "UPDATE inspection_inspectionrequest SET status = 'failed', claim = NULL, error_code = 'file_unreadable',"
        " error = 'The file was not read before the system was set back to an older version.'"
        " WHERE asset_id IS NULL AND status <> 'failed'",
        params=None,
    )
    if schema.connection.vendor == "postgresql":
        # It alters no table whose changes still wait for a check at the end of the transaction.
        schema.execute("SET CONSTRAINTS ALL IMMEDIATE", params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0006_history_indexes'),
        ('modelzoo', '0006_stages_follow_deployments'),
        ('records', '0004_checkpoints'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='inspectionrequest',
            name='only_failed_requests_lack_an_image',
        ),
        migrations.RunPython(migrations.RunPython.noop, _give_up_what_is_unread),
        migrations.AddField(
            model_name='batchrun',
            name='folder',
            field=models.CharField(blank=True, help_text='of this server, that its files are read from', max_length=1000),
        ),
        migrations.AddField(
            model_name='inspectionrequest',
            name='path',
            field=models.CharField(blank=True, help_text='in the folder of its batch, where it has one', max_length=1000),
        ),
        migrations.AddIndex(
            model_name='batchrun',
            index=models.Index(fields=['-created_at', '-id'], name='batches_newest_first'),
        ),
        migrations.AddConstraint(
            model_name='inspectionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'failed'), ('asset__isnull', False), models.Q(models.Q(('path', ''), _negated=True), ('status__in', ['queued', 'running', 'cancelled'])), _connector='OR'), name='only_failed_and_unread_requests_lack_an_image'),
        ),
    ]
