"""What was odd about a picture that was judged all the same, in its record."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0014_batch_warnings'),
    ]

    operations = [
        migrations.AddField(
            model_name='inspection',
            name='input_findings',
            field=models.JSONField(blank=True, help_text='what was odd about the picture, though it was judged; empty where nothing was, and in older records', null=True),
        ),
    ]
