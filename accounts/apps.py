from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People and the tokens that their programs use."""

    name = "accounts"

    def ready(self) -> None:
        from accounts.rehashed_passwords import watch_rehashed_passwords

        watch_rehashed_passwords()
