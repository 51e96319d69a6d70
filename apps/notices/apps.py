from django.apps import AppConfig


class NoticesConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.notices"
    label = "notices"

    def ready(self) -> None:
        """Hear of what happens everywhere."""
        from apps.notices import subscribers

        subscribers.register()
