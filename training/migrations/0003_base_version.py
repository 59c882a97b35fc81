"""A run may let a trained version learn from more good images, instead of beginning anew."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0005_threshold_evidence'),
        ('training', '0002_calibration'),
    ]

    operations = [
        migrations.AddField(
            model_name='trainingrun',
            name='base_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='extensions', to='modelzoo.modelversion'),
        ),
    ]
