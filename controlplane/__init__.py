"""Settings, wiring and processes; nothing about the domain."""

# Every process that sends tasks has to know the application: without it, Celery would send them
# to a broker of its own choosing.
from controlplane.celery import app as celery_app

__all__ = ["celery_app"]
