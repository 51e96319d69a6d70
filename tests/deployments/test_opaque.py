"""Artifacts that only another backend of Triton can load."""

import pytest

from apps.deployments.drivers.opaque import config_of, files_of, require_backend
from apps.deployments.errors import TargetRefuses
from apps.deployments.services import deploy
from apps.registry.models import ModelVersion
from tests.registry.factories import make_version, scientist

pytestmark = pytest.mark.django_db
FILES = [
    {"path": "model/saved_model.pb", "size": 5, "sha256": "a" * 64},
    {"path": "model/variables/variables.index", "size": 7, "sha256": "b" * 64},
]


def saved_model() -> ModelVersion:
    return make_version(framework="tensorflow", triton_backend="tensorflow", files=FILES)


def test_deploy__backend_that_the_target_does_not_name__refused_before_anything_is_done() -> None:
    with pytest.raises(TargetRefuses, match="needs Triton's backend tensorflow"):
        deploy(actor=scientist(), version=saved_model())
    kept = make_version(framework="pytorch", triton_backend="", files=FILES)
    with pytest.raises(TargetRefuses, match="no backend of Triton loads its files"):
        deploy(actor=scientist(), version=kept)
    require_backend(saved_model(), ["tensorflow"])


def test_entry__of_a_saved_model__files_lie_where_triton_looks() -> None:
    version = saved_model()
    paths = [file.path for file in files_of(version)]
    assert paths == [
        "1/model.savedmodel/saved_model.pb",
        "1/model.savedmodel/variables/variables.index",
    ]
    config = config_of(version, "flights-v1", 2)
    assert 'platform: "tensorflow_savedmodel"' in config
    version.triton_backend = "tensorrt"
    with pytest.raises(TargetRefuses, match="2 files"):
        files_of(version)
