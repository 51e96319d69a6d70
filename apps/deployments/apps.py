from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """See the package's modules; every app has the same skeleton."""

    name = "apps.deployments"
    label = "deployments"
