"""Until when a request may be judged, under its own name, and which request another one repeats."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inspection", "0011_sources"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="inspectionrequest", name="open_requests_by_lease"),
        migrations.RenameField(model_name="inspectionrequest", old_name="lease_expires_at", new_name="deadline"),
        migrations.AddField(
            model_name="inspectionrequest",
            name="repeat_of",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="repeats",
                to="inspection.inspectionrequest",
            ),
        ),
        migrations.AddIndex(
            model_name="inspectionrequest",
            index=models.Index(
                condition=models.Q(("batch__isnull", True), ("status__in", ["queued", "running"])),
                fields=["deadline"],
                name="open_requests_by_deadline",
            ),
        ),
        migrations.AddConstraint(
            model_name="inspectionrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["queued", "running", "done"])),
                fields=["repeat_of"],
                name="one_repeat_is_open_or_recorded",
            ),
        ),
    ]
