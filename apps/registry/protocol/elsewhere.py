"""What MLflow's clients may ask of a registry and do not find here: clear answers."""

from typing import ClassVar

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import Permissions
from apps.registry.protocol.base import Call
from apps.registry.protocol.refusals import Refusal

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NOTES = {
    "webhooks": "webhooks of this registry are managed at {web}/api/v1/webhooks",
    "prompts": "prompts are kept with the tracking server",
}


class ServerInfo(Call):
    """What the client wants to know of the server before it calls."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    def get(self, request: Request) -> Response:
        """A registry over SQL tables, without workspaces."""
        return Response({"store_type": "SqlStore", "workspaces_enabled": False})


class Elsewhere(Call):
    """Every other call of MLflow's API."""

    permissions: ClassVar[Permissions] = dict.fromkeys(METHODS, Permission.VIEW)
    schema = None  # type: ignore[assignment]  # what is not served is not described

    def get(self, request: Request, rest: str) -> Response:
        """Say where it would be served."""
        word = rest.split("/")[0]
        note = NOTES.get(word, "runs, experiments, logged models and artifacts are served there")
        raise Refusal(
            "ENDPOINT_NOT_FOUND",
            f"'{request.path}' is not served here: this is a model registry. Point "
            f"MLFLOW_TRACKING_URI at the MLflow server, and MLFLOW_REGISTRY_URI at this one; "
            f"{note.format(web=settings.CONFIG.web_url)}.",
        )

    post = put = patch = delete = get
