"""The OpenAPI document is complete: no view that it has to guess about."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path: Path = tmp_path_factory.mktemp("openapi") / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for path in document["paths"].values() for one in path.values()]


def test_document__each_operation__says_what_goes_wrong(document: dict[str, Any]) -> None:
    silent = [
        one["operationId"] for one in operations(document) if "default" not in one["responses"]
    ]
    assert silent == []


def test_document__each_post__takes_an_idempotency_key(document: dict[str, Any]) -> None:
    posts = [path["post"] for path in document["paths"].values() if "post" in path]
    deaf = [
        one["operationId"]
        for one in posts
        if "Idempotency-Key" not in [given["name"] for given in one.get("parameters", [])]
    ]
    assert deaf == []


def test_document__each_operation__is_described(document: dict[str, Any]) -> None:
    silent = [one["operationId"] for one in operations(document) if not one.get("description")]
    assert silent == []


def test_document__each_write__shows_an_example(document: dict[str, Any]) -> None:
    silent = []
    for one in operations(document):
        for media, kind in one.get("requestBody", {}).get("content", {}).items():
            if media == "application/octet-stream":
                continue  # a file's bytes show nothing
            properties = kind["schema"]
            if not kind.get("examples") and "Reason" not in str(properties):
                silent.append(one["operationId"])
    assert silent == []
