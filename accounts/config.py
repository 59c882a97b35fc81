"""Where Django's admin finds our site. Apart from apps.py, which names this folder's own app and nothing else."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    default_site = "accounts.site.Administration"
