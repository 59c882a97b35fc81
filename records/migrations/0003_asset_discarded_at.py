

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0002_audit_is_append_only'),
    ]

    operations = [
        migrations.AddField(
            model_name='asset',
            name='discarded_at',
            field=models.DateTimeField(blank=True, help_text='when retention removed the file; the row and its hash stay', null=True),
        ),
    ]
