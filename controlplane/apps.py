from django.apps import AppConfig


class ControlplaneConfig(AppConfig):
    """Template tags, system checks and the shell of every page."""

    name = "controlplane"
    verbose_name = "Control plane"

    def ready(self) -> None:
        """Register the system checks."""
        from controlplane import checks  # noqa: F401  # registers
