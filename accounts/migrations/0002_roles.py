"""The four roles, as groups. What each may do stands in common/rights.py."""

from django.db import migrations

ROLES = ("operator", "engineer", "auditor", "admin")


def make(apps, schema):
    groups = apps.get_model("auth", "Group").objects.using(schema.connection.alias)
    for name in ROLES:
        groups.get_or_create(name=name)


def remove(apps, schema):
    apps.get_model("auth", "Group").objects.using(schema.connection.alias).filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make, remove)]
