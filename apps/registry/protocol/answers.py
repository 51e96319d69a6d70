"""Rows as MLflow's API writes them: its names, its enums, milliseconds."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.registry.models import VersionStatus
from apps.registry.protocol import stages
from apps.registry.protocol.rows import ModelRow, VersionRow

STATUS = {
    VersionStatus.PENDING.value: "PENDING_REGISTRATION",
    VersionStatus.READY.value: "READY",
    VersionStatus.FAILED.value: "FAILED_REGISTRATION",
}


def model(row: ModelRow) -> dict[str, Any]:
    """A registered model."""
    return {
        "name": row.name,
        "creation_timestamp": row.created_at // 1000,
        "last_updated_timestamp": row.updated_at // 1000,
        "user_id": row.owner,
        "description": row.description,
        "latest_versions": [version(one) for one in row.latest],
        "tags": _tags(row.tags),
        "aliases": [
            {"alias": name, "version": str(number)} for name, number in row.aliases.items()
        ],
    }


def version(row: VersionRow) -> dict[str, Any]:
    """A version; what is not known is left out, as MLflow does."""
    known = {
        "run_id": row.run_id,
        "run_link": row.run_link,
        "status_message": row.status_detail,
        "model_id": row.source.removeprefix("models:/") if _is_logged(row.source) else "",
    }
    return {
        "name": row.name,
        "version": str(row.number),
        "creation_timestamp": row.created_at // 1000,
        "last_updated_timestamp": row.updated_at // 1000,
        "user_id": row.created_by.partition(":")[2],
        "current_stage": stages.of(row.stage, row.allowance),
        "description": row.description,
        "source": row.source,
        "status": STATUS[row.status],
        "tags": _tags(row.tags),
        "aliases": row.aliases,
        **{name: value for name, value in known.items() if value},
    }


def models(rows: Iterable[ModelRow], token: str) -> dict[str, Any]:
    """A page of models."""
    return _page("registered_models", [model(row) for row in rows], token)


def versions(rows: Iterable[VersionRow], token: str = "") -> dict[str, Any]:
    """A page of versions."""
    return _page("model_versions", [version(row) for row in rows], token)


def _page(name: str, listed: list[dict[str, Any]], token: str) -> dict[str, Any]:
    return {name: listed, "next_page_token": token} if token else {name: listed}


def _is_logged(source: str) -> bool:
    return source.startswith("models:/m-") and "/" not in source.removeprefix("models:/")


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in tags.items()]
