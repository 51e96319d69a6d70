"""Rows to test with: teams, people, models and versions. Other areas use these, too."""

import hashlib
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.accounts.models import Membership, ServiceAccount, Team, User
from apps.accounts.principals import of_service_account, of_user
from apps.registry import services
from apps.registry.models import ModelVersion, PromotionRequest, RegisteredModel, Validation
from apps.registry.promotion import DEFAULT_LADDER, UNAPPROVED_STAGES
from tests.registry.onnx_models import late_model

TEAM = "ops"
EXAMPLE = [
    {"carrier": "UA", "distance": 500.0, "wind": 10.0},
    {"carrier": "AA", "distance": 120.0, "wind": 3.0},
]
SIGNATURE = {
    "inputs": [
        {"name": "carrier", "type": "string", "required": True},
        {"name": "distance", "type": "double", "required": True},
        {"name": "wind", "type": "double", "required": True},
    ],
    "outputs": [{"name": "probabilities", "type": "tensor", "dtype": "float32", "shape": [-1, 2]}],
}
INPUT_SCHEMA: dict[str, Any] = {
    "features": [
        {"name": "carrier", "kind": "string"},
        {"name": "distance", "kind": "float"},
        {"name": "wind", "kind": "float"},
    ],
    "tensors": [
        {"name": "carrier", "datatype": "BYTES", "features": ["carrier"]},
        {"name": "numeric", "datatype": "FP32", "features": ["distance", "wind"]},
    ],
}
OUTPUT_SCHEMA: dict[str, Any] = {"tensor": "probabilities"}


def make_team(key: str = TEAM) -> Team:
    """The team of that key."""
    return Team.objects.get_or_create(key=key, defaults={"name": key.title()})[0]


def make_user(username: str, *roles: Role, team: str = TEAM) -> User:
    """A person with these roles in one team; the same person when asked for again."""
    user = User.objects.get_or_create(username=username)[0]
    for role in roles:
        Membership.objects.get_or_create(user=user, team=make_team(team), role=role.value)
    return user


def person(username: str, *roles: Role, team: str = TEAM) -> Principal:
    """The principal of `make_user`."""
    return of_user(make_user(username, *roles, team=team))


def scientist(username: str = "ada") -> Principal:
    """A scientist; asks for promotions."""
    return person(username, Role.SCIENTIST)


def approver(username: str = "grace") -> Principal:
    """An approver; has neither asked for nor written anything."""
    return person(username, Role.APPROVER)


def service(name: str, responsible: str, role: Role = Role.CI) -> Principal:
    """The principal of a service account, with the person who answers for it."""
    account = ServiceAccount.objects.get_or_create(
        name=name,
        defaults={"team": make_team(), "role": role.value, "responsible": make_user(responsible)},
    )[0]
    return of_service_account(account)


def make_model(name: str = "flights", *, team: str = TEAM, owner: str = "ada") -> RegisteredModel:
    """The model of that name; the same one when asked for again."""
    return RegisteredModel.objects.get_or_create(
        name=name, defaults={"team": make_team(team), "owner": make_user(owner)}
    )[0]


def make_version(
    *,
    model: RegisteredModel | None = None,
    number: int | None = None,
    stage: str = "dev",
    artifact: bytes | None = None,
    store: bool = False,
    **fields: Any,
) -> ModelVersion:
    """A version of a small binary model (tests.registry.onnx_models.late_model).

    Stages that need an approval have one, by "user:grace". `store` puts the artifact into the S3
    store, where its URI points.
    """
    model = model or make_model()
    number = number or model.last_number + 1
    artifact = late_model() if artifact is None else artifact
    key = f"artifacts/{model.name}/{number}/model.onnx"
    version = ModelVersion(
        **{
            "model": model,
            "number": number,
            "framework": "onnx",
            "artifact_uri": f"s3://{settings.CONFIG.s3_bucket}/{key}",
            "artifact_digest": hashlib.sha256(artifact).hexdigest(),
            "size_bytes": len(artifact),
            "signature": SIGNATURE,
            "input_schema": INPUT_SCHEMA,
            "output_schema": OUTPUT_SCHEMA,
            "example": EXAMPLE,
            "label_map": {"0": "on time", "1": "delayed"},
            "metrics": {"accuracy": 0.8},
            "created_by": "user:ada",
            "author": "user:ada",
            "stage": stage,
            "allowance": DEFAULT_LADDER.allowance(stage).value,
            **fields,
        }
    )
    _approve(version)
    version.save()
    model.last_number = max(model.last_number, number)
    model.save(update_fields=["last_number"])
    if store:
        put_artifact(key, artifact)
    return version


def put_artifact(key: str, data: bytes) -> None:
    """Write an object into the bucket of the S3 store (needs the `s3` fixture)."""
    from apps.registry.artifacts import ArtifactStore

    ArtifactStore.configured().client.put_object(
        Bucket=settings.CONFIG.s3_bucket, Key=key, Body=data
    )


def _approve(version: ModelVersion) -> None:
    if version.stage not in UNAPPROVED_STAGES:
        version.approved_digest = version.content_digest()
        version.approved_by = "user:grace"
        version.approved_at = timezone.now()


def make_validation(version: ModelVersion, *, state: str = "passed") -> Validation:
    """A finished validation of the version as it is now."""
    now = timezone.now()
    verdict = "pass" if state == "passed" else "fail"
    return Validation.objects.create(
        version=version,
        state=state,
        digest=version.content_digest(),
        checks=[{"name": "artifact", "verdict": verdict, "detail": "examined", "figures": {}}],
        requested_by="user:ada",
        attempts=1,
        lease_expires_at=now,
        started_at=now,
        finished_at=now,
    )


def validated_version(stage: str = "dev", **fields: Any) -> ModelVersion:
    """A version whose newest validation passed."""
    version = make_version(stage=stage, **fields)
    make_validation(version)
    return version


def asked(version: ModelVersion | None = None, *, by: Principal | None = None) -> PromotionRequest:
    """An open request for the next stage, by a scientist unless told."""
    version = version or validated_version()
    target = {"dev": "staging", "staging": "production"}[version.stage]
    return services.request_promotion(
        actor=by or scientist(), version=version, stage=target, reason="better"
    )
