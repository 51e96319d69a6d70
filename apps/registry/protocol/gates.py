"""Stage transitions and protected aliases: what needs an approval becomes a promotion request."""

from typing import NoReturn

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.registry import services
from apps.registry.errors import NotValidated
from apps.registry.models import ModelVersion, PromotionRequest, RegisteredModel
from apps.registry.promotion import Ladder, Stage, is_protected
from apps.registry.protocol import stages
from apps.registry.protocol.refusals import Refusal, invalid
from apps.registry.terms import ladder_of

REASON = "asked for by MLflow's client"


def transition(
    actor: Principal, version: ModelVersion, stage: str, *, archive_others: bool
) -> None:
    """Move a version to one of MLflow's stages, or ask for the approval that it needs.

    Raises a Refusal with the address of the promotion request where one is needed.
    """
    target = stages.canonical(stage)
    if archive_others and target not in stages.GATED:
        raise invalid(
            f"Model version transition cannot archive existing model versions because '{stage}' "
            f"is not an Active stage. Valid stages are {sorted(stages.GATED)}"
        )
    if stages.of(version.stage, version.allowance) == target:
        return
    services.require_ready(version)
    if target == stages.NONE:
        raise Refusal("RESOURCE_CONFLICT", f"{version} is in {version.stage}: no way leads back")
    if target == stages.ARCHIVED:
        step = services.deprecate if version.is_at_the_top else services.archive
        step(actor=actor, version=version, reason=REASON)
    else:
        _climb(actor, version, target)


def point(actor: Principal, model: RegisteredModel, alias: str, version: ModelVersion) -> None:
    """Point an alias at a version, or ask for the approval that a protected one needs.

    Raises a Refusal with the address of the promotion request where one is needed.
    """
    pointed = model.aliases.filter(name=alias, version=version).exists()
    if not is_protected(alias) or version.is_at_the_top or pointed:
        services.set_alias(actor=actor, model=model, alias=alias, version=version)
    elif version.stage == Stage.DEPRECATED:
        with transaction.atomic():
            back = services.reinstate(actor=actor, version=version, reason=REASON)
            services.set_alias(actor=actor, model=model, alias=alias, version=back)
    else:
        _ask(actor, version, stages.PRODUCTION, f"Alias '{alias}'")


def _climb(actor: Principal, version: ModelVersion, target: str) -> None:
    """Back from deprecated without another approval; from anywhere else by asking for one."""
    if version.stage == Stage.DEPRECATED and target == stages.PRODUCTION:
        services.reinstate(actor=actor, version=version, reason=REASON)
    else:
        _ask(actor, version, target, f"Stage '{target}'")


def _target(version: ModelVersion, target: str, what: str) -> str:
    """Our stage for one of MLflow's. Raises a Refusal when it is not the next one."""
    ladder: Ladder = ladder_of(version.model.team_id)
    following = ladder.next_promotion(version.stage)
    is_top = following == ladder.top
    if following is None or (target == stages.PRODUCTION) is not is_top:
        said = f"the next is '{following}'" if following else "no promotion leads on from there"
        raise Refusal(
            "RESOURCE_CONFLICT",
            f"{what} is out of reach of {version}: it is in '{version.stage}', {said}. "
            f"{_page(version)}",
        )
    return following


def _ask(actor: Principal, version: ModelVersion, target: str, what: str) -> NoReturn:
    authorise(actor, Permission.REQUEST_PROMOTION, team_key=version.model.team.key)
    stage = _target(version, target, what)
    request = _open_request(version, stage) or _new_request(actor, version, stage, what)
    waits = f"The promotion request waits at {_address(request)}"
    raise Refusal("PERMISSION_DENIED", f"{what} of {version} needs an approval. {waits}")


def _open_request(version: ModelVersion, target: str) -> PromotionRequest | None:
    opened = PromotionRequest.objects.open(now=timezone.now())
    return opened.filter(version=version, target_stage=target).first()


def _new_request(
    actor: Principal, version: ModelVersion, target: str, what: str
) -> PromotionRequest:
    try:
        return services.request_promotion(
            actor=actor, version=version, stage=target, reason=f"{what} was {REASON}"
        )
    except NotValidated as error:
        services.start_validation(actor=actor, version=version)
        raise Refusal(
            "RESOURCE_CONFLICT",
            f"{what} needs checks of {version} that pass: {error.detail}. They are running; ask "
            f"again when they have passed. {_page(version)}",
        ) from error


def _address(request: PromotionRequest) -> str:
    return f"{settings.CONFIG.web_url}{reverse('approval', args=[request.pk])}"


def _page(version: ModelVersion) -> str:
    path = reverse("version", args=[version.model.name, version.number])
    return f"See {settings.CONFIG.web_url}{path}"
