from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.registry"
    label = "registry"

    def ready(self) -> None:
        """Let texts be compared by SQL's patterns; make this floor's checks known."""
        from apps.registry import artifact_panels
        from apps.registry.checks.own import register_own
        from apps.registry.protocol import lookups

        lookups.register()
        register_own()
        artifact_panels.register_own()
