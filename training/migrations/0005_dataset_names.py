"""Names of data sets keep letters of every script."""

from django.db import migrations, models

import common.names


class Migration(migrations.Migration):
    dependencies = [("training", "0004_log_start")]

    operations = [
        # The column is the same; only what may stand in it is another question.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "dataset",
                    "name",
                    models.CharField(
                        db_index=True, max_length=100, validators=[common.names.validate_short_name]
                    ),
                )
            ]
        )
    ]
