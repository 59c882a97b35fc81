"""Authenticators of events and what they attest. Once one event has an authenticator, the next must have one too."""

from django.db import migrations, models

from records.triggers import refuse_insert_unless


class Migration(migrations.Migration):
    dependencies = [("records", "0008_nothing_is_replaced")]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="attests",
            field=models.TextField(help_text="JSON: hashes of rows as they are now, by model and key", null=True),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="key_id",
            field=models.CharField(help_text="of the key of the authenticator", max_length=16, null=True),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="authenticator",
            field=models.CharField(help_text="HMAC-SHA256 over the hash", max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="auditcheckpoint",
            name="authenticated_from",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="the first event that must carry an authenticator", null=True
            ),
        ),
        migrations.AddField(
            model_name="auditverification",
            name="notices",
            field=models.TextField(blank=True, help_text="what is no fault: a clock set back, keys that are not here", default=""),
            preserve_default=False,
        ),
        refuse_insert_unless(
            "records_auditevent",
            "audit_event_goes_on_authenticated",
            "NEW.key_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM records_auditevent AS e "
            "WHERE e.sequence = NEW.sequence - 1 AND e.key_id IS NOT NULL)",
            "an audit event without an authenticator",
        ),
    ]
