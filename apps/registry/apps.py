from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.registry"
    label = "registry"

    def ready(self) -> None:
        """Make this floor's checks known."""
        from apps.registry.checks.own import register_own

        register_own()
