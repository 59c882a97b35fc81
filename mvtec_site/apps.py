"""The site itself is an app, for the commands that belong to no other (`run`, `show_config`) and the checks."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "mvtec_site"

    def ready(self) -> None:
        # `shared_task` binds to the current app; importing it here makes ours current in web, commands and workers.
        from mvtec_site import celery, checks  # noqa: F401
