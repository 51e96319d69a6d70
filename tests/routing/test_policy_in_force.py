"""A policy over REST, through changes of weights, and back."""

from typing import Any

import msgspec
import pytest
from rest_framework.test import APIClient

from apps.deployments.services.traffic import split
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing.errors import InvalidSettings
from apps.routing.models import Endpoint, Generation
from apps.routing.selectors import read_spec
from apps.routing.services import VariantWeight
from contracts.policy import Ensemble
from contracts.routing import EndpointSpec
from tests.routing.factories import (
    deployed,
    make_endpoint,
    restore,
    route,
    shadow,
    stable,
    told_of,
)

pytestmark = pytest.mark.django_db
FLIGHTS = "/api/v1/endpoints/flights"
BACKED = {"fallback": {"variant": "backup"}, "mirrors": [{"variant": "shadow", "share": 0.5}]}


def loaded(number: int) -> ModelVersion:
    """The version of that number, deployed when it is not there yet."""
    found = ModelVersion.objects.select_related("model__team").filter(number=number).first()
    return found or deployed(number)


def patch(api: APIClient, policy: object, **fields: object) -> Any:
    body = {"settings": {"policy": policy}, "reason": "test", **fields}
    return api.patch(FLIGHTS, body, format="json")


def backup(version: ModelVersion) -> VariantWeight:
    return VariantWeight(key="backup", role="fallback", version=version, weight=0)


def spec_of(generation: Generation) -> EndpointSpec:
    return read_spec(generation.digest)


def backed(endpoint: Endpoint, api: APIClient) -> None:
    """Version 1 serves, 2 stands in for it, 3 is its shadow; the policy names both."""
    route(endpoint, stable(loaded(1)), backup(loaded(2)), shadow(loaded(3)))
    assert patch(api, BACKED).status_code == 200


def test_policy__patched__published_and_told_once(api: APIClient) -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(loaded(1)))
    shown = patch(api, {"cache": {"ttl_s": 60}}, reason="asked again and again").json()
    assert (shown["generation"], shown["revision"]) == (2, 1)
    assert shown["policy"]["cache"] == {
        "ttl_s": 60.0,
        "stale_s": 86_400.0,
        "entries": 100_000,
        "shared": True,
        "beta": 1.0,
    }
    assert shown["policy"]["breaker"]["minimum"] == 20
    endpoint.refresh_from_db()
    cache = read_spec(endpoint.digest).policy.cache
    assert cache is not None
    assert cache.ttl_s == 60
    (event,) = Event.objects.for_object(endpoint.key).filter(verb="endpoint.updated")
    assert event.reason == "asked again and again"
    assert isinstance(event.before, dict)
    assert isinstance(event.after, dict)
    assert event.before["settings"] == {}
    assert event.after["settings"] == {"policy": {"cache": {"ttl_s": 60}}}


def test_policy__patched__limits_stay(api: APIClient) -> None:
    make_endpoint(settings={"limits": {"deadline_ms": 200}})
    shown = patch(api, {"breaker": None}).json()
    assert (shown["limits"]["deadline_ms"], shown["limits"]["max_batch"]) == (200, 32)
    assert shown["policy"]["breaker"] is None


def test_policy__several_faults__problem_names_each(api: APIClient) -> None:
    route(make_endpoint(), stable(loaded(1)))
    answer = patch(api, {"cache": {"ttl_s": -1, "size": 3}, "mirrors": [{"share": 1}]})
    assert answer.status_code == 422
    paths = {fault["path"] for fault in answer.json()["errors"]}
    assert paths == {"$.settings.policy.cache.size", "$.settings.policy.mirrors[0].variant"}
    answer = patch(
        api, {"cache": {"ttl_s": -1}, "rules": [{"name": "", "when": [], "endpoint": ""}]}
    )
    assert len(answer.json()["errors"]) == 3


def test_policy__variant_that_is_not_there__refused_and_nothing_published(api: APIClient) -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(loaded(1)))
    answer = patch(api, BACKED)
    assert [fault["path"] for fault in answer.json()["errors"]] == [
        "$.settings.policy.fallback.variant",
        "$.settings.policy.mirrors[0].variant",
    ]
    assert endpoint.generations.count() == 1


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_policy__without_a_reason__refused(api: APIClient, reason: str | None) -> None:
    make_endpoint()
    answer = patch(api, {}, reason=reason)
    assert answer.json()["errors"][0]["path"] == "$.reason"


def test_rule__target_of_another_endpoint__in_the_specification(api: APIClient) -> None:
    endpoint, strong, one = make_endpoint(), make_endpoint("strong"), loaded(1)
    route(endpoint, stable(one))
    rules = [
        {
            "name": "gold",
            "endpoint": "strong",
            "when": [{"subject": "tier", "comparison": "in", "value": ["gold"]}],
        }
    ]
    assert "serves nothing" in patch(api, {"rules": rules}).json()["detail"]
    route(strong, stable(one))
    assert patch(api, {"rules": rules}).status_code == 200
    endpoint.refresh_from_db()
    assert read_spec(endpoint.digest).policy.rules[0].endpoint == "strong"


def test_weights__put_without_what_the_policy_names__refused_by_field(api: APIClient) -> None:
    endpoint = make_endpoint()
    backed(endpoint, api)
    with pytest.raises(InvalidSettings) as caught:
        route(endpoint, stable(loaded(1)))
    assert [path for path, _ in caught.value.faults] == [
        "settings.policy.fallback.variant",
        "settings.policy.mirrors[0].variant",
    ]


def test_ramp__of_an_endpoint_with_company__takes_it_along(api: APIClient) -> None:
    endpoint = make_endpoint()
    backed(endpoint, api)
    one, four = loaded(1), loaded(4)
    spec = spec_of(route(endpoint, *split(one, four, 500), carry=True))
    assert [item.key for item in spec.variants] == ["stable", "canary", "backup", "shadow"]
    assert (spec.policy.fallback.variant, len(spec.policy.mirrors)) == ("backup", 1)


def test_ramp__of_the_shadow_itself__goes_on_without_its_mirror(api: APIClient) -> None:
    endpoint = make_endpoint()
    backed(endpoint, api)
    generation = route(endpoint, *split(loaded(1), loaded(3), 500), carry=True)
    spec = spec_of(generation)
    assert [item.key for item in spec.variants] == ["stable", "canary", "backup"]
    assert spec.policy.mirrors == ()
    assert told_of(endpoint)["left_out"] == generation.left_out
    shown = api.get(FLIGHTS).json()
    assert [item["path"] for item in shown["left_out"]] == ["settings.policy.mirrors[0].variant"]
    assert len(shown["policy"]["mirrors"]) == 1
    # Another change meanwhile is not held up by what it does not touch.
    assert patch(api, {**BACKED, "cache": {}}).status_code == 200
    assert patch(api, {**BACKED, "fallback": {"variant": "ghost"}}).status_code == 422


def test_ramp__after_the_backup_was_archived__goes_on_without_it(api: APIClient) -> None:
    endpoint = make_endpoint()
    backed(endpoint, api)
    ModelVersion.objects.filter(number=2).update(stage="archived", allowance="none")
    spec = spec_of(route(endpoint, *split(loaded(1), loaded(4), 500), carry=True))
    assert spec.policy.fallback.variant == ""


def test_restore__phase_before_the_company__not_held_up_by_the_policy(api: APIClient) -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(loaded(1)))
    backed(endpoint, api)
    spec = spec_of(restore(endpoint, 1))
    assert (spec.policy.fallback.variant, spec.policy.mirrors) == ("", ())
    again = spec_of(restore(endpoint, 2))
    assert (again.policy.fallback.variant, len(again.policy.mirrors)) == ("backup", 1)


PAIR = Ensemble(combine="weighted", members=("stable", "second"), weights=(0.7, 0.3))
WEIGHTS = [
    {"variant": "stable", "role": "stable", "version": "1", "weight": 10_000},
    {"variant": "second", "role": "member", "version": "2", "weight": 0},
]


def put(api: APIClient, ensemble: object) -> Any:
    loaded(1), loaded(2)
    weights = [{**WEIGHTS[0], "ensemble": ensemble}, WEIGHTS[1]]
    body = {"expected_revision": 0, "weights": weights, "reason": "together"}
    return api.put(f"{FLIGHTS}/weights", body, format="json")


def test_ensemble__put__served_told_and_restored(api: APIClient) -> None:
    endpoint = make_endpoint()
    assert put(api, msgspec.to_builtins(PAIR)).status_code == 200
    shown = api.get(FLIGHTS).json()["phase"]["variants"]
    assert shown[0]["ensemble"]["members"] == ["stable", "second"]
    assert "ensemble" not in shown[1]
    assert told_of(endpoint)["ensembles"]["stable"]["combine"] == "weighted"
    route(endpoint, stable(loaded(3)))
    assert spec_of(restore(endpoint, 1)).variants[0].ensemble == PAIR


@pytest.mark.parametrize(
    ("ensemble", "path"),
    [
        ({"combine": "mean"}, "$.weights[0].ensemble.members"),
        ({"combine": "sum", "members": ["stable", "second"]}, "$.weights[0].ensemble.combine"),
        ({"combine": "mean", "members": ["stable", "third"]}, "$.weights[0].ensemble.members[1]"),
    ],
)
def test_ensemble__bad__problem_names_it(api: APIClient, ensemble: object, path: str) -> None:
    make_endpoint()
    answer = put(api, ensemble)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


def test_ramp__from_an_ensemble__it_answers_on_and_ends_with_its_version(api: APIClient) -> None:
    endpoint = make_endpoint()
    put(api, msgspec.to_builtins(PAIR))
    spec = spec_of(route(endpoint, *split(loaded(1), loaded(3), 500), carry=True))
    assert [item.key for item in spec.variants] == ["stable", "canary", "second"]
    assert spec.variants[0].ensemble == PAIR
    ended = spec_of(route(endpoint, stable(loaded(3)), carry=True))
    assert [(item.key, item.ensemble) for item in ended.variants] == [("stable", None)]


def test_ramp__to_an_ensemble__becomes_stable_with_its_members(api: APIClient) -> None:
    endpoint, one, two, three = make_endpoint(), loaded(1), loaded(2), loaded(3)
    both = Ensemble(combine="mean", members=("canary", "third"))
    member = VariantWeight(key="third", role="member", version=three, weight=0)
    candidate = VariantWeight(key="canary", role="canary", version=two, weight=500, ensemble=both)
    route(endpoint, stable(one, 9_500), candidate, member)
    spec = spec_of(route(endpoint, stable(two), carry=True))
    assert spec.variants[0].ensemble == Ensemble(combine="mean", members=("stable", "third"))
