"""Reviews that take back the one before: what stood before is restored, and where nothing did, nothing stands.

SQLite writes the table of reviews anew for that, which drops its triggers: they are taken away first and put back last.
It goes back only where nothing was withdrawn: an earlier release has no word for that.
"""

import django.db.models.deletion
from django.db import migrations, models

from records.triggers import append_only

_TRIGGER = append_only("inspection_review")


class Migration(migrations.Migration):

    dependencies = [
        ('inspection', '0012_deadlines_and_repeats'),
    ]

    operations = [
        migrations.RunPython(_TRIGGER.reverse_code, _TRIGGER.code),
        migrations.RemoveConstraint(
            model_name='review',
            name='review_verdict_is_known',
        ),
        migrations.AddField(
            model_name='review',
            name='undoes',
            field=models.OneToOneField(blank=True, help_text='null: no undo', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='undone_by', to='inspection.review'),
        ),
        migrations.AlterField(
            model_name='review',
            name='verdict',
            field=models.CharField(choices=[('good', 'Good'), ('defective', 'Defective'), ('withdrawn', 'Withdrawn')], max_length=16),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['good', 'defective', 'withdrawn'])), name='review_verdict_is_known'),
        ),
        migrations.AddConstraint(
            model_name='review',
            constraint=models.CheckConstraint(condition=models.Q(('undoes__isnull', False), models.Q(('verdict', 'withdrawn'), _negated=True), _connector='OR'), name='only_an_undo_withdraws'),
        ),
        _TRIGGER,
        migrations.AlterField(
            model_name='standing',
            name='overruled',
            field=models.BooleanField(help_text="that review and the model's verdict differ"),
        ),
    ]
