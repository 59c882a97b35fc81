from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People and the tokens that their programs use."""

    name = "accounts"
