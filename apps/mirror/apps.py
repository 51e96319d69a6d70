from django.apps import AppConfig


class MirrorConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.mirror"
    label = "mirror"

    def ready(self) -> None:
        """Hear of what is to be written back; be found by takeovers; show a panel."""
        from apps.mirror import calls, panels, subscribers
        from apps.registry.mlflow import servers

        subscribers.register()
        panels.register()
        servers.register("mirror", calls.connect_by_key)
