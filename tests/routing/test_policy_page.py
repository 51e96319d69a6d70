"""The pages by which people see and change how an endpoint serves."""

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.events.models import Event
from apps.routing.models import Endpoint
from tests.registry.factories import make_user
from tests.routing.factories import deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db
PAGE = "/endpoints/flights/policy"


@pytest.fixture
def endpoint() -> Endpoint:
    found = make_endpoint()
    route(found, stable(deployed(1)))
    return found


def signed_in(client: Client, role: Role) -> Client:
    name = "olga" if role is Role.OPERATOR else "rita"
    backend = "django.contrib.auth.backends.ModelBackend"
    client.force_login(make_user(name, role), backend=backend)
    return client


def filled(client: Client, **changes: str) -> dict[str, str]:
    """The form as it is shown, changed."""
    sent = {"seen": client.get(PAGE).context["seen"], "reason": "asked again and again"}
    for part in client.get(PAGE).context["parts"]:
        if part.on:
            sent[f"on:{part.part.switch}"] = "on"
        for item in part.fields:
            if item.field.kind != "switch" or item.value:
                sent[item.field.path] = str("" if item.value is None else item.value)
    return {**sent, **{name.replace("__", "."): text for name, text in changes.items()}}


def test_policy_page__changed__stored_with_its_reason(client: Client, endpoint: Endpoint) -> None:
    signed_in(client, Role.OPERATOR)
    sent = {**filled(client, policy__cache__ttl_s="60"), "on:policy.cache": "on"}
    assert client.post(PAGE, sent).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.settings["policy"]["cache"] == {"ttl_s": 60.0}
    (event,) = Event.objects.for_object(endpoint.key).filter(verb="endpoint.updated")
    assert (event.reason, event.actor_key) == ("asked again and again", "user:olga")
    page = client.get("/endpoints/flights/").content.decode()
    assert "equal features for 1 min, in memory and Redis" in page


def test_policy_page__faults__beside_their_fields_with_what_was_typed(
    client: Client, endpoint: Endpoint
) -> None:
    signed_in(client, Role.OPERATOR)
    sent = filled(client, policy__breaker__minimum="0", policy__mirrors='[{"variant": "ghost"}]')
    answer = client.post(PAGE, sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'id="policy-breaker-minimum-error">Must be at least 1' in page
    assert "ghost" in page
    sent["policy.breaker.minimum"] = "20"
    page = client.post(PAGE, sent).content.decode()
    assert "there is no variant &#x27;ghost&#x27;" in page
    assert endpoint.generations.count() == 1


def test_policy_page__no_reason__said_beside_it(client: Client, endpoint: Endpoint) -> None:
    signed_in(client, Role.OPERATOR)
    page = client.post(PAGE, filled(client, reason=" ")).content.decode()
    assert 'id="reason-error">Say why' in page


def test_policy_page__changed_by_another_meanwhile__nothing_overwritten(
    client: Client, endpoint: Endpoint
) -> None:
    signed_in(client, Role.OPERATOR)
    sent = filled(client)
    Endpoint.objects.update(settings={"limits": {"deadline_ms": 300}})
    answer = client.post(PAGE, sent)
    assert "changed meanwhile" in answer.content.decode()
    endpoint.refresh_from_db()
    assert endpoint.settings == {"limits": {"deadline_ms": 300}}


def test_endpoint_page__reader__sees_the_policy_and_no_way_to_edit_it(
    client: Client, endpoint: Endpoint
) -> None:
    signed_in(client, Role.READ_ONLY)
    page = client.get("/endpoints/flights/").content.decode()
    assert "Serving policy" in page
    assert PAGE not in page
    assert client.get(PAGE).status_code == 403
