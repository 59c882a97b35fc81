from django.db import migrations

from records.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [("modelzoo", "0001_initial"), ("records", "0002_audit_is_append_only")]

    operations = [append_only("modelzoo_threshold")]
