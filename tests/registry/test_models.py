"""What the tables themselves refuse."""

from typing import Any

import pytest
from django.db import DataError, IntegrityError
from django.utils import timezone

from apps.registry.models import ModelVersion, PromotionRequest
from contracts.schema import Labelling
from tests.registry.factories import make_model, make_validation, make_version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"number": 1}, "version_number_once"),
        ({"semantic_version": "1.0.0"}, "version_semantic_once"),
        ({"semantic_version": "one"}, "version_semantic"),
        ({"stage": "wonderful"}, "version_stage"),
        ({"artifact_digest": "abc"}, "version_digest"),
        ({"approved_digest": "abc"}, "version_approved_digest"),
        ({"decision_threshold": 1.1}, "version_threshold"),
        ({"decision_threshold": -0.1}, "version_threshold"),
        ({"number": 0}, "version_number"),
        ({"stage": "production"}, "version_stage_is_approved"),
    ],
)
def test_version__breaking_a_rule__refused_by_its_constraint(
    fields: dict[str, Any], constraint: str
) -> None:
    make_version(semantic_version="1.0.0")
    version = make_version(number=9)
    with pytest.raises(IntegrityError, match=constraint):
        ModelVersion.objects.filter(pk=version.pk).update(**fields)


def test_version__without_semantic_version__as_often_as_wanted() -> None:
    assert make_version().semantic_version == make_version().semantic_version == ""


def test_version__semantic_version_of_another_model__free() -> None:
    make_version(semantic_version="1.0.0")
    make_version(model=make_model("trains"), semantic_version="1.0.0")


@pytest.mark.parametrize("name", ["", " flights", "-flights", "flights!", "a" * 101])
def test_model__bad_name__refused(name: str) -> None:
    with pytest.raises((IntegrityError, DataError), match=r"model_name|too long"):
        make_model(name)


def promotion(version: ModelVersion, **fields: Any) -> PromotionRequest:
    values: dict[str, Any] = {
        "version": version,
        "target_stage": "staging",
        "digest": version.content_digest(),
        "evidence": {},
        "evidence_digest": "",
        "requested_by_key": "user:ada",
        "requester": "user:ada",
        "expires_at": timezone.now(),
        **fields,
    }
    return PromotionRequest.objects.create(**values)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"state": "perhaps"}, "promotion_state"),
        ({"target_stage": "dev"}, "promotion_target"),
        ({"digest": "abc"}, "promotion_digest"),
        ({"state": "approved", "decided_by_key": "user:ada", "decider": "user:ada"}, "four_eyes"),
        ({"state": "approved", "decided_by_key": "service:ci", "decider": "user:g"}, "four_eyes"),
    ],
)
def test_promotion__breaking_a_rule__refused_by_its_constraint(
    fields: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        promotion(make_version(), **fields)


def test_promotion__two_open_for_one_stage__refused() -> None:
    version = make_version()
    promotion(version)
    with pytest.raises(IntegrityError, match="promotion_one_open"):
        promotion(version)


def test_validation__two_open__refused() -> None:
    version = make_version()
    make_validation(version, state="queued")
    with pytest.raises(IntegrityError, match="validation_one_open"):
        make_validation(version, state="running")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("artifact_digest", "b" * 64),
        ("label_map", {"0": "a", "1": "b"}),
        ("decision_threshold", 0.51),
        ("output_schema", {"tensor": "other"}),
        ("input_schema", {"features": [], "tensors": []}),
    ],
)
def test_digest__of_anything_that_is_signed__changes_with_it(field: str, value: object) -> None:
    version = make_version()
    before = version.content_digest()
    setattr(version, field, value)
    assert version.content_digest() != before


@pytest.mark.parametrize("field", ["metrics", "parameters", "tags", "data_lineage"])
def test_digest__of_what_only_describes__stays(field: str) -> None:
    version = make_version()
    before = version.content_digest()
    setattr(version, field, {"a": 1})
    assert version.content_digest() == before


def test_digest__read_back_from_the_database__is_the_same() -> None:
    version = make_version()
    assert ModelVersion.objects.get().content_digest() == version.content_digest()


def test_version__typed_views__for_the_data_plane() -> None:
    version = make_version()
    assert version.schema().output.tensor == "probabilities"
    assert version.labelling() == Labelling(labels={"0": "on time", "1": "delayed"}, threshold=0.5)
