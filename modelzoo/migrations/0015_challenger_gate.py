"""A promotion gate of live images that a version scores beside production.

Triggers go with a table that SQLite writes anew: they are taken away first and put back last.
"""

from django.db import migrations, models

from records.triggers import append_only

_TRIGGER = append_only("modelzoo_promotiongates")


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0014_approvals_and_gates'),
    ]

    operations = [
        migrations.RunPython(_TRIGGER.reverse_code, _TRIGGER.code),
        migrations.AddField(
            model_name='promotiongates',
            name='min_challenger_images',
            field=models.PositiveIntegerField(blank=True, help_text='live images to be scored beside production, with every disagreement looked at', null=True),
        ),
        migrations.AddConstraint(
            model_name='promotiongates',
            constraint=models.CheckConstraint(condition=models.Q(('min_challenger_images__isnull', True), ('min_challenger_images__gte', 1), _connector='OR'), name='promotion_gate_asks_for_an_image'),
        ),
        append_only("modelzoo_promotiongates"),
    ]
