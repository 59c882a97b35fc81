"""Signed checkpoints of the audit chain, and indexes for the filters of the audit log that had none."""

from django.conf import settings
from django.db import migrations, models

from records.triggers import append_only


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0003_asset_discarded_at'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('sequence', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('head', models.CharField(help_text='hash of that event', max_length=64)),
                ('events', models.PositiveBigIntegerField(help_text='how many there were, the one named included')),
                ('at', models.DateTimeField()),
                ('key_id', models.CharField(help_text='of the key that signed it', max_length=16)),
                ('signature', models.CharField(help_text='Ed25519, base64', max_length=88)),
            ],
            options={
                'ordering': ['-sequence'],
            },
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['source', 'sequence'], name='audit_by_source'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['request_id', 'sequence'], name='audit_by_request'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['at', 'sequence'], name='audit_by_time'),
        ),
        migrations.AddConstraint(
            model_name='auditcheckpoint',
            constraint=models.CheckConstraint(condition=models.Q(('sequence__gte', 1)), name='checkpoint_sequence_from_one'),
        ),
        migrations.AddConstraint(
            model_name='auditcheckpoint',
            constraint=models.CheckConstraint(condition=models.Q(('head__regex', '^[0-9a-f]{64}$')), name='checkpoint_head_is_hex'),
        ),
        migrations.AddConstraint(
            model_name='auditcheckpoint',
            constraint=models.CheckConstraint(condition=models.Q(('events', models.F('sequence'))), name='checkpoint_counts_every_event'),
        ),
        append_only("records_auditcheckpoint"),
    ]
