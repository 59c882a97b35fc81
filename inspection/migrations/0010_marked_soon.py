"""PostgreSQL marks the pages of records sooner as seen by all, so that indexes alone can answer for them.

By itself it would do so after a fifth of all records has come anew: those are the newest, which are asked for most.
"""

from django.db import migrations

_SETTINGS = {"autovacuum_vacuum_insert_scale_factor": "0.01", "autovacuum_analyze_scale_factor": "0.02"}


def _set(apps, schema):
    if schema.connection.vendor == "postgresql":
        said = ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
        schema.execute(f"ALTER TABLE inspection_inspection SET ({said})", params=None)


def _reset(apps, schema):
    if schema.connection.vendor == "postgresql":
        schema.execute(f"ALTER TABLE inspection_inspection RESET ({', '.join(_SETTINGS)})", params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0009_scores_of_a_version'),
    ]

    operations = [migrations.RunPython(_set, _reset)]
