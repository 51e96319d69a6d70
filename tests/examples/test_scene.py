import json
from pathlib import Path

import pytest

from examples.flights.scene import Places, semantic

ENDPOINTS = {
    "web": "http://127.0.0.1:1",
    "gateway_http": "http://127.0.0.1:2",
    "mlflow": "http://127.0.0.1:3",
    "tokens": {"client": "swy_x"},
}


def test_places__written_by_the_platform__are_read(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps(ENDPOINTS))
    assert Places.read(file).gateway == "http://127.0.0.1:2"


def test_places__without_a_gateway__raises(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({"web": "http://127.0.0.1:1"}))
    with pytest.raises(KeyError):
        Places.read(file)


def test_semantic__of_a_version_name__is_its_label() -> None:
    assert semantic("v3") == "3.0.0"
