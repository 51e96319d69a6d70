from django.apps import AppConfig


class ControlplaneConfig(AppConfig):
    """Template tags, system checks and the shell of every page."""

    name = "controlplane"
    verbose_name = "Control plane"

    def ready(self) -> None:
        """Register the system checks, and an admin page of every table."""
        from apps.events.administration import register_the_rest
        from controlplane import checks  # noqa: F401  # registers

        register_the_rest()
