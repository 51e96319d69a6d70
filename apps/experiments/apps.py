from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.experiments"
    label = "experiments"
