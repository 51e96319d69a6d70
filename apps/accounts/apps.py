from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Teach the OpenAPI document our credentials."""
        from apps.accounts.api import openapi  # noqa: F401  # registers its extensions
