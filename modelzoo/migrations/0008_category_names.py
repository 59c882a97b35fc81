"""Names of categories keep letters of every script, and what a category was first called is kept beside them."""

from django.db import migrations, models

import common.names
from records.triggers import with_triggers_elsewhere


class Migration(migrations.Migration):
    dependencies = [("modelzoo", "0007_default_category")]

    operations = [
        # The column is the same; only what may stand in it is another question.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "category",
                    "name",
                    models.CharField(max_length=100, unique=True, validators=[common.names.validate_short_name]),
                )
            ]
        ),
        *with_triggers_elsewhere(
            [
                migrations.AddField(
                    "category",
                    "given_name",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="what it was first called; empty in categories older than it",
                        max_length=300,
                    ),
                    preserve_default=False,
                )
            ]
        ),
    ]
