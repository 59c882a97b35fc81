"""Where an imported version comes from.

Nullable: on SQLite such a column is added to the table as it is; a default would make the table anew, under the
triggers of other tables that name it.
"""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('modelzoo', '0012_image_statistics'),
    ]

    operations = [
        migrations.AddField(
            model_name='modelversion',
            name='origin',
            field=models.JSONField(blank=True, help_text='of a version that was imported: which one it was there, who signed it, what its package said; null where it was trained here', null=True),
        ),
    ]
