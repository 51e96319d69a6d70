"""What needs an approval becomes a promotion request; the champion follows what is approved."""

import re

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from apps.accounts.access import Role
from apps.registry import services
from apps.registry.models import ModelAlias, ModelVersion, PromotionRequest
from tests.registry.factories import (
    approver,
    make_model,
    make_user,
    make_version,
    scientist,
    validated_version,
)
from tests.registry.protocol.conftest import Clients
from tests.registry.protocol.steps import refused

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:.*transition_model_version_stage.*:FutureWarning"),
]


def champion(client: MlflowClient) -> str | None:
    aliases: dict[str, str] = client.get_registered_model("flights").aliases
    return aliases.get("champion")


def test_transition__to_an_approved_stage__refused_with_the_requests_address(
    client: MlflowClient,
) -> None:
    validated_version()
    with pytest.raises(MlflowException) as first:
        client.transition_model_version_stage("flights", "1", "Staging")
    request = PromotionRequest.objects.get()
    assert first.value.error_code == "PERMISSION_DENIED"
    assert re.search(rf"http\S+/{request.pk}", first.value.message)
    assert (request.target_stage, request.requester) == ("staging", "user:ada")
    with pytest.raises(MlflowException, match=str(request.pk)):
        client.transition_model_version_stage("flights", "1", "staging")
    with refused("RESOURCE_CONFLICT", "the next is 'staging'"):
        client.transition_model_version_stage("flights", "1", "Production")
    with refused("INVALID_PARAMETER_VALUE", "Value must be one of None, Staging"):
        client.transition_model_version_stage("flights", "1", "Nowhere")
    with refused("INVALID_PARAMETER_VALUE", "is not an Active stage"):
        client.transition_model_version_stage("flights", "1", "Archived", True)
    same = client.transition_model_version_stage("flights", "1", "None")
    assert (same.current_stage, PromotionRequest.objects.count()) == ("None", 1)


def test_protected_alias__set_by_hand__asks_for_production(client: MlflowClient) -> None:
    version = validated_version(stage="staging")
    for alias in ("champion", "Champion"):
        with refused("PERMISSION_DENIED", f"Alias '{alias}' of flights/1 needs an approval"):
            client.set_registered_model_alias("flights", alias, "1")
    request = PromotionRequest.objects.get()
    assert (request.version, request.target_stage) == (version, "production")
    with refused("PERMISSION_DENIED", "follows promotion"):
        client.delete_registered_model_alias("flights", "champion")
    assert not ModelAlias.objects.exists()


def test_champion__production_changes_hands__follows_in_the_same_transaction(
    client: MlflowClient,
) -> None:
    first, second = (validated_version(stage="staging") for _ in range(2))
    for version in (first, second):
        request = services.request_promotion(
            actor=scientist(), version=version, stage="production", reason="better"
        )
        services.approve(actor=approver(), request=request, reason="read")
        assert champion(client) == str(version.number)
    services.deprecate(actor=scientist(), version=first, reason="older")
    assert champion(client) == str(second.number)
    client.set_registered_model_alias("flights", "champion", str(first.number))  # rolls back
    assert champion(client) == str(first.number)
    services.deprecate(actor=scientist(), version=_fresh(first), reason="no")
    assert champion(client) == str(second.number)
    client.transition_model_version_stage("flights", second.number, "Archived")
    assert client.get_model_version("flights", str(second.number)).current_stage == "Archived"
    assert champion(client) == str(second.number)  # it still serves, and nobody took its place
    services.archive(actor=scientist(), version=_fresh(second), reason="over")
    assert champion(client) is None


def _fresh(version: ModelVersion) -> ModelVersion:
    return ModelVersion.objects.select_related("model__team").get(pk=version.pk)


def test_transition__without_the_right__refused_before_anything_is_asked(
    client_of: Clients,
) -> None:
    make_version(model=make_model("flights"))
    client = client_of(make_user("rob", Role.READ_ONLY))
    for stage in ("Staging", "Archived"):
        with refused("PERMISSION_DENIED", "may not"):
            client.transition_model_version_stage("flights", "1", stage)
    assert not PromotionRequest.objects.exists()
