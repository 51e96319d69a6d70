from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.routing"
    label = "routing"
