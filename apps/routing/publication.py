"""Putting the routing table where gateways find it: signed, whole, and never older than it was.

What is in Redis is a copy. Postgres holds every generation and specification; `publish_latest`
brings Redis to the newest state from whatever state it is in, and does nothing when it is there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import msgspec
import redis
import structlog
from django.conf import settings
from django.db import connection, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.accounts import selectors as accounts
from apps.routing.models import ClientsPosition, Position, Spec
from apps.routing.signing import sign_document
from contracts.routing import (
    CHANGED_CHANNEL,
    CLIENTS_KEY,
    CLIENTS_PURPOSE,
    INDEX_KEY,
    INDEX_PURPOSE,
    SPEC_KEY,
    ClientsDocument,
    RoutingIndex,
)

log = structlog.get_logger(__name__)

POSITION_KEY = "switchyard:routing:position"
LIVE_KEY = "switchyard:routing:live"
CLIENTS_REVISION_KEY = "switchyard:clients:revision"
RETIRED_SPEC_S = 3_600
TIMEOUT_S = 2.0
EPOCH_BITS = 32

# One statement and one row: the position and the table that belongs to it.
_TABLE = """
SELECT epoch, generation, issued_at,
       (SELECT string_agg(name || ' ' || digest, E'\\n' ORDER BY name)
        FROM routing_endpoint WHERE digest <> '')
FROM routing_position WHERE id = 1
"""

# One step, so that a reader never finds an index whose specifications are not there, and two
# publishers never leave the older of their two states. Returns {"missing", digest, …} before
# anything is written, {"older", position}, {"same"} or {"published"}.
_SWAP = """
local index_key, position_key, live_key = KEYS[1], KEYS[2], KEYS[3]
local index, epoch, generation = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local prefix, retired_s, channel = ARGV[4], tonumber(ARGV[5]), ARGV[6]
local at = redis.call('HMGET', position_key, 'epoch', 'generation')
local old_epoch, old_generation = tonumber(at[1]) or 0, tonumber(at[2]) or 0
local stored = redis.call('GET', index_key)
if stored and (old_epoch > epoch or (old_epoch == epoch and old_generation > generation)) then
    return {'older', old_epoch .. '.' .. old_generation}
end
local missing = {'missing'}
for n = 7, #ARGV do
    if redis.call('EXISTS', prefix .. ARGV[n]) == 0 then missing[#missing + 1] = ARGV[n] end
end
if #missing > 1 then return missing end
for n = 7, #ARGV do redis.call('PERSIST', prefix .. ARGV[n]) end
if stored == index then return {'same'} end
local retired = {}
for _, digest in ipairs(redis.call('SMEMBERS', live_key)) do retired[digest] = true end
redis.call('DEL', live_key)
for n = 7, #ARGV do
    redis.call('SADD', live_key, ARGV[n])
    retired[ARGV[n]] = nil
end
for digest in pairs(retired) do redis.call('EXPIRE', prefix .. digest, retired_s) end
redis.call('SET', index_key, index)
redis.call('HSET', position_key, 'epoch', epoch, 'generation', generation)
redis.call('PUBLISH', channel, generation)
return {'published'}
"""

_SWAP_CLIENTS = """
local stored = redis.call('GET', KEYS[1])
local revision = tonumber(redis.call('GET', KEYS[2])) or -1
if stored and revision > tonumber(ARGV[2]) then return 'older' end
if stored == ARGV[1] then return 'same' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('PUBLISH', ARGV[3], 'clients')
return 'published'
"""


@dataclass(frozen=True)
class Publication:
    """How publishing went: "published", "same", "older" or "unreachable"."""

    outcome: str
    epoch: int = 0
    generation: int = 0


@lru_cache(maxsize=1)
def client() -> "redis.Redis":
    """This process's connections to Redis, with short time-outs: it may be away."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),  # for a connection that died in the pool
    )


def current_index() -> RoutingIndex | None:
    """The whole table as one statement saw it; None before the first generation."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        found = cursor.fetchone()
    if found is None or found[3] is None:
        return None
    epoch, generation, issued_at, lines = found
    return RoutingIndex(
        epoch=epoch,
        generation=generation,
        issued_at=issued_at.timestamp(),
        endpoints=dict(line.split(" ") for line in lines.split("\n")),
    )


def publish_latest(*, fresh: Mapping[str, bytes] | None = None) -> Publication:
    """Bring Redis to the newest generation; safe at any time, by any number of processes.

    `fresh` are specifications, by digest, that Redis can hardly have yet: they save asking.
    """
    index = current_index()
    if index is None:
        return Publication("same")
    try:
        _put_specs(fresh or {})
        outcome = swap(index)
    except redis.RedisError as error:
        log.warning("routing.publish_failed", generation=index.generation, error=str(error))
        return Publication("unreachable", index.epoch, index.generation)
    return Publication(outcome, index.epoch, index.generation)


def publish_clients() -> str:
    """Bring Redis to the present clients of the data plane; says how it went."""
    document = present_clients()
    body = sign_document(document, purpose=CLIENTS_PURPOSE)
    try:
        script = client().register_script(_SWAP_CLIENTS)
        answer = script(
            keys=[CLIENTS_KEY, CLIENTS_REVISION_KEY],
            args=[body, document.revision, CHANGED_CHANNEL],
        )
    except redis.RedisError as error:
        log.warning("clients.publish_failed", error=str(error))
        return "unreachable"
    return cast(bytes, answer).decode()


@transaction.atomic
def present_clients() -> ClientsDocument:
    """All clients; the revision grows whenever they differ from the last that were asked for.

    The epoch is part of it, so that a restored Postgres is not behind the gateways for ever.
    """
    ClientsPosition.objects.get_or_create(pk=1)
    position = ClientsPosition.objects.select_for_update().get(pk=1)
    document = accounts.clients_document(0)
    digest = hashlib.sha256(msgspec.json.encode(document.clients)).hexdigest()
    if digest != position.digest:
        position.revision, position.digest = position.revision + 1, digest
        position.save(update_fields=["revision", "digest"])
    epoch = Position.objects.values_list("epoch", flat=True).first() or 1
    return msgspec.structs.replace(document, revision=(epoch << EPOCH_BITS) + position.revision)


def swap(index: RoutingIndex) -> str:
    """Put this state of the table into Redis unless a newer one is there. Raises RedisError."""
    digests = sorted(set(index.endpoints.values()))
    arguments: list[bytes | str | int] = [
        sign_document(index, purpose=INDEX_PURPOSE),
        index.epoch,
        index.generation,
        SPEC_KEY,
        RETIRED_SPEC_S,
        CHANGED_CHANNEL,
        *digests,
    ]
    script = client().register_script(_SWAP)
    keys = [INDEX_KEY, POSITION_KEY, LIVE_KEY]
    answer = cast(list[bytes], script(keys=keys, args=arguments))
    if answer[0] == b"missing":
        _write_specs([digest.decode() for digest in answer[1:]])
        answer = cast(list[bytes], script(keys=keys, args=arguments))
    return _told(answer, index)


def _told(answer: Sequence[bytes], index: RoutingIndex) -> str:
    outcome = answer[0].decode()
    told = {"epoch": index.epoch, "generation": index.generation}
    if outcome == "published":
        log.info("routing.published", endpoints=len(index.endpoints), **told)
    elif outcome == "older":
        log.warning("routing.publish_refused", published=answer[1].decode(), **told)
    return outcome


def _write_specs(digests: Sequence[str]) -> None:
    for first in range(0, len(digests), 200):
        rows = Spec.objects.filter(digest__in=digests[first : first + 200])
        _put_specs({digest: bytes(body) for digest, body in rows.values_list("digest", "body")})


def _put_specs(bodies: Mapping[str, bytes]) -> None:
    """Put specifications where an index will name them; those that none does go by themselves."""
    pipeline = client().pipeline(transaction=False)
    for digest, body in bodies.items():
        pipeline.set(SPEC_KEY + digest, body, ex=RETIRED_SPEC_S)
    pipeline.execute()
