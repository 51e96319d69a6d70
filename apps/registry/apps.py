from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.registry"
    label = "registry"
