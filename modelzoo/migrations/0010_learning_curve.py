"""Held-out scores by models of fewer images, which say what more images would be worth.

Nullable: on SQLite such a column is added to the table as it is; a default would make the table anew, under the
triggers of other tables that name it.
"""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0009_input_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='modelversion',
            name='learning_curve',
            field=models.JSONField(blank=True, help_text='numbers of training images and the mean score of good images that models of so many had not seen; null where the detector does not measure it', null=True),
        ),
    ]
