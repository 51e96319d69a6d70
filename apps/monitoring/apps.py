from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.monitoring"
    label = "monitoring"
