from django.apps import AppConfig


class RoutingConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.routing"
    label = "routing"

    def ready(self) -> None:
        """Hear of what the floors beneath do, and show something on their pages."""
        from apps.routing import champions, holds, lineage, subscribers

        subscribers.register()
        lineage.register()
        holds.register()
        champions.register()
