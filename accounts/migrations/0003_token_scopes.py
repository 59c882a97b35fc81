"""What a token is for. Those that were issued before could do everything, and still can."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles")]

    operations = [
        migrations.AddField(
            "apitoken",
            "scopes",
            models.CharField(
                default="inspect manage read",
                help_text="what it is for: inspect, manage, read, with a blank between",
                max_length=40,
            ),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            "apitoken",
            models.CheckConstraint(
                condition=Q(scopes__regex=r"^(inspect( manage)?( read)?|manage( read)?|read)$"),
                name="token_scopes_are_known",
            ),
        ),
    ]
