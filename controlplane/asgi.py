"""HTTP and websockets under one ASGI application."""

import gc
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")
# Each request has a thread of its own here, and would have a connection of its own: opening one
# takes as long as most requests.
os.environ.setdefault("DATABASE_POOL", "20")
_http = get_asgi_application()

from controlplane.body_limit import BodyLimit  # noqa: E402  # needs the app registry
from controlplane.checks import validate  # noqa: E402  # needs the app registry
from controlplane.websockets import websocket_urlpatterns  # noqa: E402  # needs the app registry

validate()

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(_http, limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)

# What is loaded stays: looking through it for garbage would hold up a request for 200 ms.
gc.collect()
gc.freeze()
