"""New records get keys that sort by time; those that are there keep theirs.

The database knows nothing of it: the default is Python's. Altering the column would write SQLite's table anew, without
its triggers.
"""

from django.db import migrations, models

import records.keys


class Migration(migrations.Migration):
    dependencies = [("inspection", "0019_requests_without_record")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="inspection",
                    name="id",
                    field=models.UUIDField(
                        default=records.keys.time_ordered_key, editable=False, primary_key=True, serialize=False
                    ),
                )
            ]
        )
    ]
