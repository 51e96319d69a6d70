from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.accounts"
    label = "accounts"
