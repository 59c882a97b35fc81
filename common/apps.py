from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "common"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from common.api.messages import use_our_messages
        from common.database import name_lost_connections

        use_our_messages()
        connection_created.connect(name_lost_connections)
