"""Where a log that has lost its beginning begins, so that whoever reads it piece by piece misses nothing unseen."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0003_base_version")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="log_start",
            field=models.PositiveBigIntegerField(default=0, help_text="characters that were dropped before it"),
        ),
        migrations.AlterField(
            model_name="trainingrun",
            name="log",
            field=models.TextField(blank=True, help_text="its last part, where it grew long"),
        ),
    ]
