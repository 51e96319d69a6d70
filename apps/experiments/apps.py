from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.experiments"
    label = "experiments"

    def ready(self) -> None:
        """Show something on the pages of the floors beneath."""
        from apps.experiments import lineage

        lineage.register()
