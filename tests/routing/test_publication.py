"""What gateways find in Redis: signed, whole, never older than it was."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
import redis
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.access import Role
from apps.accounts.models import ServiceAccount, Token
from apps.events.models import Event
from apps.routing import publication, services, subscribers, tasks
from apps.routing.errors import InvalidWeights
from apps.routing.models import Endpoint, Position, Spec
from apps.routing.selectors import index_at
from contracts import routing as contract
from contracts import signing
from contracts.routing import BucketRange, EndpointSpec, RoutingIndex
from tests.registry.factories import make_team, make_user, person
from tests.routing.factories import canary, deployed, make_endpoint, route, stable

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_client"),
]


def published(client: "redis.Redis") -> RoutingIndex:
    """The index in Redis, verified as a gateway does."""
    body = client.get(contract.INDEX_KEY)
    assert isinstance(body, bytes)
    keys = signing.parse_public_keys(os.environ["ROUTING_PUBLIC_KEYS"])
    document = signing.decode(body)
    return signing.verify(document, RoutingIndex, purpose=contract.INDEX_PURPOSE, keys=keys)


def spec_of(client: "redis.Redis", name: str) -> EndpointSpec:
    digest = published(client).endpoints[name]
    body = client.get(contract.SPEC_KEY + digest)
    assert isinstance(body, bytes)
    return contract.decode_spec(body, digest=digest)


def test_commit__reallocated__index_and_spec_are_there(redis_client: "redis.Redis") -> None:
    generation = route(make_endpoint(), stable(deployed(1)))
    index = published(redis_client)
    assert (index.epoch, index.generation) == (1, generation.number)
    spec = spec_of(redis_client, "flights")
    assert spec.ranges == (BucketRange(0, 10_000, "stable"),)
    assert spec.variants[0].entry == "flights-v1"
    assert redis_client.ttl(contract.SPEC_KEY + index.endpoints["flights"]) == -1


def test_index__another_key__refused(redis_client: "redis.Redis") -> None:
    route(make_endpoint(), stable(deployed(1)))
    body = redis_client.get(contract.INDEX_KEY)
    assert isinstance(body, bytes)
    document = signing.decode(body)
    forged = msgspec.structs.replace(document, payload=document.payload + b" ")
    keys = signing.parse_public_keys(os.environ["ROUTING_PUBLIC_KEYS"])
    with pytest.raises(signing.SignatureError):
        signing.verify(forged, RoutingIndex, purpose=contract.INDEX_PURPOSE, keys=keys)


def test_rollback_of_transaction__nothing_published(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    with pytest.raises(InvalidWeights):
        route(endpoint, stable(one, 5_000))
    assert redis_client.get(contract.INDEX_KEY) is None


def test_publish__nothing_new__writes_nothing(redis_client: "redis.Redis") -> None:
    route(make_endpoint(), stable(deployed(1)))
    before = redis_client.get(contract.INDEX_KEY)
    assert services.publish_latest().outcome == "same"
    assert redis_client.get(contract.INDEX_KEY) == before


def test_publish__redis_wiped__healed_byte_for_byte(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000))
    before = redis_client.get(contract.INDEX_KEY)
    redis_client.flushall()
    assert services.publish_latest().outcome == "published"
    assert redis_client.get(contract.INDEX_KEY) == before
    assert spec_of(redis_client, "flights").phase == 2


def test_publish__spec_lost__written_again(redis_client: "redis.Redis") -> None:
    generation = route(make_endpoint(), stable(deployed(1)))
    redis_client.delete(contract.SPEC_KEY + generation.digest)
    services.publish_latest()
    assert spec_of(redis_client, "flights").phase == 1
    assert redis_client.ttl(contract.SPEC_KEY + generation.digest) == -1


def test_publish__index_damaged__written_again(redis_client: "redis.Redis") -> None:
    route(make_endpoint(), stable(deployed(1)))
    redis_client.set(contract.INDEX_KEY, b"garbage")
    assert services.publish_latest().outcome == "published"
    assert published(redis_client).generation == 1


def test_publish__older_state__does_not_replace_the_newer(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    older = publication.current_index()
    assert older is not None
    route(endpoint, stable(one))
    assert publication.swap(older) == "older"
    assert published(redis_client).generation == 2


def test_publish__postgres_restored_from_backup__refused_until_epoch_advances(
    redis_client: "redis.Redis",
) -> None:
    route(make_endpoint(), stable(deployed(1)))
    redis_client.hset(publication.POSITION_KEY, mapping={"epoch": 1, "generation": 90})
    assert services.publish_latest().outcome == "older"
    services.advance_epoch(actor=person("root", Role.ADMIN), reason="restored from backup")
    index = published(redis_client)
    assert (index.epoch, index.generation) == (2, 2)


def test_publish__spec_no_longer_used__expires(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    first = route(endpoint, stable(one))
    route(endpoint, stable(one))
    ttl = redis_client.ttl(contract.SPEC_KEY + first.digest)
    assert 0 < int(ttl) <= publication.RETIRED_SPEC_S


def test_publish__subscribers__told_the_generation(redis_client: "redis.Redis") -> None:
    listener = redis_client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py's
    listener.subscribe(contract.CHANGED_CHANNEL)
    listener.get_message(timeout=1)
    route(make_endpoint(), stable(deployed(1)))
    deadline, message = time.monotonic() + 2, None
    while message is None and time.monotonic() < deadline:
        message = listener.get_message(timeout=0.1)
    listener.close()
    assert message is not None
    assert message["data"] == b"1"


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    """Redis is away for this process."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    publication.client.cache_clear()
    yield
    publication.client.cache_clear()


@pytest.mark.usefixtures("no_redis")
def test_publish__redis_away__change_stands_and_is_healed(
    redis_client: "redis.Redis", settings: Settings
) -> None:
    generation = route(make_endpoint(), stable(deployed(1)))
    assert redis_client.get(contract.INDEX_KEY) is None
    settings.REDIS_URL = os.environ["REDIS_URL"]
    publication.client.cache_clear()
    services.publish_latest()
    assert published(redis_client).generation == generation.number


def test_publish__racing_publishers__end_on_the_newest(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    states = []
    for _ in range(6):
        route(endpoint, stable(one))
        states.append(publication.current_index())
    redis_client.flushall()
    threads = [
        threading.Thread(target=publish_apart, args=(state,)) for state in states * 3 if state
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert published(redis_client).generation == 6


def publish_apart(state: RoutingIndex) -> None:
    try:
        publication.swap(state)
    finally:
        connection.close()


def test_index__any_generation__known_from_the_archive(redis_client: "redis.Redis") -> None:
    one = deployed(1)
    first, second = make_endpoint("first"), make_endpoint("second")
    route(first, stable(one))
    then = publication.current_index()
    route(second, stable(one))
    route(first, stable(one))
    assert index_at(1, 1) == then
    assert index_at(1, 3) == publication.current_index()


def test_publish__thousand_endpoints__within_50_ms(redis_client: "redis.Redis") -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    copy_endpoint(endpoint, 1_000)
    assert services.publish_latest().outcome == "published"
    times = []
    for _ in range(9):
        route(endpoint, stable(one))
        redis_client.delete(contract.INDEX_KEY)
        began = time.perf_counter()
        services.publish_latest()
        times.append(time.perf_counter() - began)
    body = redis_client.get(contract.INDEX_KEY)
    assert isinstance(body, bytes)
    assert len(published(redis_client).endpoints) == 1_001
    assert len(body) < 120_000
    print(f"publish_1000_ms={min(times) * 1000:.1f}")
    assert min(times) < 0.05  # the best of several: other work on the machine is not ours


def copy_endpoint(endpoint: Endpoint, count: int) -> None:
    """More endpoints with specifications of their own, as if allocated one by one."""
    endpoint.refresh_from_db()
    body = Spec.objects.get(digest=endpoint.digest).body
    template = contract.decode_spec(bytes(body), digest=endpoint.digest)
    specs, rows = [], []
    for number in range(count):
        name = f"copy-{number}"
        encoded = contract.encode_spec(msgspec.structs.replace(template, name=name))
        digest = contract.spec_digest(encoded)
        specs.append(Spec(digest=digest, body=encoded))
        rows.append(
            Endpoint(name=name, team=endpoint.team, model=endpoint.model, salt="s", digest=digest)
        )
    Spec.objects.bulk_create(specs)
    Endpoint.objects.bulk_create(rows)
    Position.objects.update(generation=Position.objects.get().generation + count)


def test_clients__token_issued__in_the_signed_document(redis_client: "redis.Redis") -> None:
    account = client_account()
    assert services.publish_clients() == "published"
    assert services.publish_clients() == "same"
    body = redis_client.get(contract.CLIENTS_KEY)
    assert isinstance(body, bytes)
    keys = signing.parse_public_keys(os.environ["ROUTING_PUBLIC_KEYS"])
    document = signing.verify(
        signing.decode(body), contract.ClientsDocument, purpose="clients", keys=keys
    )
    assert [client.name for client in document.clients] == [account.name]
    assert document.revision == (1 << publication.EPOCH_BITS) + 1


def test_clients__account_disabled__gone_after_the_event(redis_client: "redis.Redis") -> None:
    account = client_account()
    services.publish_clients()
    before = redis_client.get(contract.CLIENTS_KEY)
    ServiceAccount.objects.filter(pk=account.pk).update(disabled_at=timezone.now())
    subscribers.publish_clients(Event(verb="service_account.disabled", object_key=account.key))
    assert publication.present_clients().clients == ()
    assert redis_client.get(contract.CLIENTS_KEY) != before


def test_tasks__redis_wiped__both_documents_are_back(redis_client: "redis.Redis") -> None:
    route(make_endpoint(), stable(deployed(1)))
    redis_client.flushall()
    tasks.publish_latest()
    assert published(redis_client).generation == 1
    assert redis_client.exists(contract.CLIENTS_KEY)


def client_account() -> ServiceAccount:
    account = ServiceAccount.objects.create(
        name="shop", team=make_team(), role="client", responsible=make_user("ada")
    )
    Token.objects.create(
        service_account=account,
        name="key",
        prefix="swy_",
        digest="0" * 64,
        expires_at=timezone.now() + timedelta(days=1),
    )
    return account
