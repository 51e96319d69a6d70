from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.deployments"
    label = "deployments"

    def ready(self) -> None:
        """Hear of what the floors beneath do, and show something on their pages."""
        from apps.deployments import lineage, panels, reach, subscribers
        from apps.registry import impact

        subscribers.register()
        panels.register()
        lineage.register()
        impact.register(radius=reach.blast_radius, ways_back=reach.ways_back)
