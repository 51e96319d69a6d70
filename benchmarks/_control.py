"""The control plane in this process, with a table full of endpoints: for benchmarks.

Import it once Django is set up.
"""

import hashlib
from datetime import timedelta
from time import perf_counter

import msgspec
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import system
from apps.accounts.models import ServiceAccount, Team, Token, User
from apps.registry.models import ModelVersion, RegisteredModel
from apps.routing import services
from apps.routing.models import Endpoint, Position, Spec
from apps.routing.publication import client
from apps.routing.services import VariantWeight
from benchmarks import rig
from contracts.routing import (
    INDEX_KEY,
    EndpointSpec,
    decode_spec,
    encode_spec,
    spec_digest,
)
from contracts.schema import FeatureSpec, ModelSchema, TensorSpec

ACTOR = system("benchmark")
FEATURES = 50
WEIGHTS = (500, 2_000, 5_000, 1_000)


class Table:
    """One endpoint over two versions of the rig's model, and `others` that nobody asks."""

    def __init__(self, *, address: str, others: int) -> None:
        call_command("migrate", verbosity=0)
        self.model = _model()
        _client(self.model.team, self.model.owner)
        self.versions = [_version(self.model, number, address) for number in (1, 2)]
        self.endpoint = services.create_endpoint(actor=ACTOR, name="rig", model=self.model)
        self.generation = 0
        self._reallocate(WEIGHTS[-1])
        _fill(self.endpoint, others)
        self._reallocate(WEIGHTS[0])
        services.publish_clients()

    def change(self, number: int) -> tuple[float, float]:
        """A reallocation, or at every second time the rollback of it; when it was committed, and
        when it was published (s, monotonic)."""
        committed: list[float] = []
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(perf_counter()))
            if number % 2:
                self._restore()
            else:
                self._reallocate(WEIGHTS[number // 2 % len(WEIGHTS)])
        return committed[0], perf_counter()

    def index_bytes(self) -> int:
        """The size of the signed index."""
        return int(client().strlen(INDEX_KEY))

    def _reallocate(self, weight: int) -> None:
        stable, canary = self.versions
        self.endpoint.refresh_from_db()
        generation = services.reallocate(
            actor=ACTOR,
            endpoint=self.endpoint,
            holder="",
            expected_revision=self.endpoint.revision,
            weights=[
                VariantWeight(key="stable", role="stable", version=stable, weight=10_000 - weight),
                VariantWeight(key="canary", role="canary", version=canary, weight=weight),
            ],
            reason="benchmark",
        )
        self.generation = generation.number

    def _restore(self) -> None:
        self.endpoint.refresh_from_db()
        phase = self.endpoint.phase
        assert phase is not None
        generation = services.restore_phase(
            actor=ACTOR,
            endpoint=self.endpoint,
            holder="",
            expected_revision=self.endpoint.revision,
            phase_number=phase.number - 1,
            reason="benchmark",
        )
        self.generation = generation.number


def _model() -> RegisteredModel:
    team = Team.objects.create(key="bench", name="Bench")
    owner = User.objects.create(username="bench")
    return RegisteredModel.objects.create(name="rig", team=team, owner=owner)


def _client(team: Team, responsible: User) -> None:
    account = ServiceAccount.objects.create(
        name="bench", team=team, role="client", responsible=responsible
    )
    Token.objects.create(
        service_account=account,
        name="bench",
        prefix="swy_",
        digest=hashlib.sha256(rig.CLIENT_KEY.encode()).hexdigest(),
        expires_at=timezone.now() + timedelta(days=1),
    )


def _version(model: RegisteredModel, number: int, address: str) -> ModelVersion:
    schema = msgspec.to_builtins(rig.SCHEMA)
    version = ModelVersion(
        model=model,
        number=number,
        semantic_version=f"{number}.0.0",
        framework="onnx",
        artifact_uri="s3://bench/model.onnx",
        artifact_digest=hashlib.sha256(bytes([number])).hexdigest(),
        size_bytes=1,
        input_schema={"features": schema["features"], "tensors": schema["tensors"]},
        output_schema=schema["output"],
        label_map=rig.LABELS,
        stage="production",
        allowance="all",
        approved_by="user:bench",
        approved_at=timezone.now(),
        created_by="user:bench",
        author="user:bench",
    )
    version.approved_digest = version.content_digest()
    version.save()
    services.register_backend(
        actor=ACTOR, version=version, entry=f"rig-v{number}", addresses=[address]
    )
    return version


def _fill(endpoint: Endpoint, count: int) -> None:
    """Further endpoints with wide schemas, as if each had been allocated by itself."""
    endpoint.refresh_from_db()
    body = bytes(Spec.objects.get(digest=endpoint.digest).body)
    template = _widened(decode_spec(body, digest=endpoint.digest))
    specs, rows = [], []
    for number in range(count):
        name = f"other-{number:04}"
        encoded = encode_spec(msgspec.structs.replace(template, name=name))
        digest = spec_digest(encoded)
        specs.append(Spec(digest=digest, body=encoded))
        rows.append(
            Endpoint(name=name, team=endpoint.team, model=endpoint.model, salt=name, digest=digest)
        )
    Spec.objects.bulk_create(specs)
    Endpoint.objects.bulk_create(rows)
    Position.objects.update(generation=Position.objects.get().generation + count)


def _widened(spec: EndpointSpec) -> EndpointSpec:
    names = tuple(f"feature_{number}" for number in range(FEATURES))
    schema = ModelSchema(
        features=tuple(FeatureSpec(name=name, kind="float") for name in names),
        tensors=(TensorSpec(name="numeric", datatype="FP32", features=names),),
        output=rig.SCHEMA.output,
    )
    variants = tuple(msgspec.structs.replace(item, schema=schema) for item in spec.variants)
    return msgspec.structs.replace(spec, variants=variants)
