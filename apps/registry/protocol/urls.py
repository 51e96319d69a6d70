"""Addresses of MLflow's registry protocol, as its clients know them."""

from django.urls import URLPattern, path

from apps.registry.protocol import elsewhere, model_calls, version_calls
from apps.registry.protocol.base import Call

MODELS: dict[str, type[Call]] = {
    "create": model_calls.CreateModel,
    "get": model_calls.GetModel,
    "update": model_calls.UpdateModel,
    "rename": model_calls.RenameModel,
    "delete": model_calls.DeleteModel,
    "search": model_calls.SearchModels,
    "get-latest-versions": model_calls.LatestVersions,
    "set-tag": model_calls.SetModelTag,
    "delete-tag": model_calls.DeleteModelTag,
    "alias": model_calls.Alias,
}
VERSIONS: dict[str, type[Call]] = {
    "create": version_calls.CreateVersion,
    "get": version_calls.GetVersion,
    "update": version_calls.UpdateVersion,
    "delete": version_calls.DeleteVersion,
    "search": version_calls.SearchVersions,
    "get-download-uri": version_calls.DownloadUri,
    "set-tag": version_calls.SetVersionTag,
    "delete-tag": version_calls.DeleteVersionTag,
    "transition-stage": version_calls.TransitionStage,
}
ROOT = "api/2.0/mlflow"


def _routes(kind: str, calls: dict[str, type[Call]]) -> list[URLPattern]:
    return [
        path(f"{ROOT}/{kind}/{word}", call.as_view(), name=f"mlflow-{kind}-{word}")
        for word, call in calls.items()
    ]


urlpatterns: list[URLPattern] = [
    *_routes("registered-models", MODELS),
    *_routes("model-versions", VERSIONS),
    path("api/3.0/mlflow/server-info", elsewhere.ServerInfo.as_view(), name="mlflow-server-info"),
    path(f"{ROOT}/<path:rest>", elsewhere.Elsewhere.as_view(), name="mlflow-elsewhere"),
    path("api/3.0/mlflow/<path:rest>", elsewhere.Elsewhere.as_view(), name="mlflow-elsewhere-3"),
    path(
        "api/2.0/mlflow-artifacts/<path:rest>",
        elsewhere.Elsewhere.as_view(),
        name="mlflow-elsewhere-artifacts",
    ),
]
