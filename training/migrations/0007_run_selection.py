from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0006_ignore_masks")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="selection",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="what was compared, and why the winner, where the run chose the detector",
            ),
        ),
    ]
