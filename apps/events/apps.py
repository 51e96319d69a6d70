from django.apps import AppConfig


class EventsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.events"
    label = "events"
