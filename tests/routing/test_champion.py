"""A model's champion is the version that gets its traffic, and what others are held against."""

import pytest

from apps.registry import services
from apps.registry.errors import AliasProtected
from apps.registry.evidence import incumbent
from apps.registry.models import ModelVersion
from tests.registry.factories import scientist
from tests.routing.factories import canary, deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db


def champion(version: ModelVersion) -> int | None:
    held = version.model.aliases.filter(name="champion").select_related("version").first()
    return held.version.number if held else None


def test_champion__of_a_routed_model__follows_traffic_not_approval() -> None:
    first, second = deployed(1), deployed(2)
    endpoint = make_endpoint()
    route(endpoint, stable(first))
    assert champion(first) == 1
    assert incumbent(second) == first
    route(endpoint, stable(first, 9_500), canary(second, 500))
    assert champion(first) == 1  # a canary serves some, and replaces nobody
    route(endpoint, stable(second))
    assert champion(first) == 2
    assert incumbent(first) == second
    route(endpoint, stable(first))
    assert champion(first) == 1


def test_champion__set_by_hand_beside_an_endpoint__refused() -> None:
    first, second = deployed(1), deployed(2)
    route(make_endpoint(), stable(first))
    with pytest.raises(AliasProtected, match="follows the traffic of endpoint flights"):
        services.set_alias(actor=scientist(), model=first.model, alias="champion", version=second)
