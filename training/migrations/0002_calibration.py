from django.db import migrations, models


def to_calibration(apps, schema_editor):
    TrainingRun = apps.get_model("training", "TrainingRun")
    for run in TrainingRun.objects.only("id", "percentile").iterator():
        run.calibration = {"method": "percentile", "percentile": run.percentile}
        run.save(update_fields=["calibration"])


def to_percentile(apps, schema_editor):
    """A conformal rate is asked for as the percentile that comes nearest to it."""
    TrainingRun = apps.get_model("training", "TrainingRun")
    for run in TrainingRun.objects.only("id", "calibration").iterator():
        rule = run.calibration
        run.percentile = rule.get("percentile", 100 * (1 - rule.get("false_reject_rate", 0.1)))
        run.save(update_fields=["percentile"])


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="calibration",
            field=models.JSONField(default=dict, help_text="the rule of the first threshold, with its number"),
        ),
        migrations.AlterField(model_name="trainingrun", name="percentile", field=models.FloatField(default=90.0)),
        migrations.RunPython(to_calibration, to_percentile),
        migrations.RemoveField(model_name="trainingrun", name="percentile"),
        migrations.AlterField(
            model_name="trainingrun",
            name="calibration",
            field=models.JSONField(help_text="the rule of the first threshold, with its number"),
        ),
    ]
