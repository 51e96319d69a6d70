"""docs/reference/settings.md names every setting with its default."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from controlplane.config import Config
from dataplane.settings import GatewaySettings, RecorderSettings
from dataplane.triton.settings import PullerSettings
from embedded import ports

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
ROW = re.compile(r"^\| `(\w+)` \| (required|-|`[^`]*`|``) \|", re.MULTILINE)
MODELS: tuple[type[BaseSettings], ...] = (
    Config,
    GatewaySettings,
    RecorderSettings,
    PullerSettings,
)


def documented() -> set[tuple[str, str]]:
    return {(name, default.strip("`")) for name, default in ROW.findall(PAGE.read_text())}


def expected() -> Iterator[tuple[str, str]]:
    for model in MODELS:
        for name, field in model.model_fields.items():
            default = "-" if field.default is None else str(field.default)
            yield name.upper(), "required" if field.is_required() else default
    for name, port in ports.DEFAULTS.items():
        yield ports.PREFIX + name, str(port)


@pytest.mark.parametrize(("name", "default"), sorted(set(expected())))
def test_settings_page__each_setting__with_its_default(name: str, default: str) -> None:
    assert (name, default) in documented()


def test_settings_page__nothing__that_does_not_exist() -> None:
    known = {name for name, _ in expected()}
    own = {"SWITCHYARD_ENVIRONMENTS", "SWITCHYARD_WORKER_CONCURRENCY", "MLFLOW_BACKEND_STORE_URI"}
    assert {name for name, _ in documented()} <= known | own
