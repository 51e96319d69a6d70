from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        """Show something on the pages of the floors beneath."""
        from apps.monitoring import lineage, panels
        from apps.monitoring.shadow_check import ShadowAgreement
        from apps.registry import checks

        panels.register()
        lineage.register()
        checks.register(ShadowAgreement())
