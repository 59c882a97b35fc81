"""What was known when a threshold was set.

Triggers go with a table that SQLite writes anew: they are taken away first and put back last.
"""

from django.db import migrations, models

from records.triggers import append_only, with_triggers_elsewhere


class Migration(migrations.Migration):
    dependencies = [("modelzoo", "0004_runtime_and_precision")]

    operations = with_triggers_elsewhere(
        [
            migrations.RunPython(
                append_only("modelzoo_threshold").reverse_code, append_only("modelzoo_threshold").code
            ),
            migrations.AddField(
                model_name="threshold",
                name="evidence",
                field=models.JSONField(
                    blank=True,
                    default=dict,
                    help_text="what was known when it was set: figures, and what they were taken from",
                ),
            ),
            append_only("modelzoo_threshold"),
        ]
    )
