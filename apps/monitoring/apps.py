from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        """Show something on the pages of the floors beneath."""
        from apps.monitoring import lineage, panels

        panels.register()
        lineage.register()
