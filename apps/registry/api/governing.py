"""REST resources of what promotions need: ladders, policies, freeze windows, check hooks."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    Action,
    ApiView,
    ListView,
    Permissions,
    ReasonInput,
    validated,
)
from apps.accounts.api.filters import CharFilter, Filters
from apps.accounts.models import Team
from apps.accounts.selectors import get_team
from apps.events.errors import NotFound
from apps.registry import checks, services
from apps.registry.api import promotion_examples as examples
from apps.registry.api import promotion_shapes as shapes
from apps.registry.checks.examined import TITLES
from apps.registry.models import (
    CheckHook,
    FreezeWindow,
    ModelVersion,
    PromotionPolicy,
    StageLadder,
)
from apps.registry.selectors import get_model
from apps.registry.terms import ladder_of, terms_for


def _team(key: str | None) -> Team | None:
    return get_team(key) if key else None


class TeamFilter(Filters):
    """`team` by key."""

    team = CharFilter(field_name="team__key")


class PolicyFilter(TeamFilter):
    """By team, stage and tier."""

    class Meta:
        model = PromotionPolicy
        fields = ("stage", "tier")


class FreezeFilter(TeamFilter):
    """By team, stage and tier."""

    class Meta:
        model = FreezeWindow
        fields = ("stage", "tier")


class LadderFilter(TeamFilter):
    """By team."""

    class Meta:
        model = StageLadder
        fields: tuple[str, ...] = ()


class HookFilter(TeamFilter):
    """By team."""

    class Meta:
        model = CheckHook
        fields: tuple[str, ...] = ()


GOVERNED: Permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}


class Ladders(Action, ListView):
    """Editions of ladders, newest first; define one."""

    permissions: ClassVar[Permissions] = GOVERNED
    queryset = StageLadder.objects.select_related("team")
    serializer_class = shows = shapes.LadderSerializer
    filterset_class = LadderFilter
    takes = shapes.NewLadderSerializer
    status = 201
    examples = (examples.LADDER,)

    def act(self, given: dict[str, Any], **_: Any) -> StageLadder:
        """Give a team, or the organisation, stages of its own."""
        team = _team(given.pop("team"))
        return services.set_ladder(actor=self.principal, team=team, **given)


class Policies(Action, ListView):
    """Editions of policies, newest first; write one."""

    permissions: ClassVar[Permissions] = GOVERNED
    queryset = PromotionPolicy.objects.select_related("team")
    serializer_class = shows = shapes.PolicySerializer
    filterset_class = PolicyFilter
    takes = shapes.NewPolicySerializer
    status = 201
    examples = (examples.POLICY,)

    def act(self, given: dict[str, Any], **_: Any) -> PromotionPolicy:
        """Say what promotion into a stage needs; open requests are void under the old rules."""
        team = _team(given.pop("team"))
        return services.set_policy(actor=self.principal, team=team, **given)


class Freezes(Action, ListView):
    """Freeze windows, newest first; add one."""

    permissions: ClassVar[Permissions] = GOVERNED
    queryset = FreezeWindow.objects.select_related("team")
    serializer_class = shows = shapes.FreezeSerializer
    filterset_class = FreezeFilter
    takes = shapes.NewFreezeSerializer
    status = 201
    examples = (examples.FREEZE,)

    def act(self, given: dict[str, Any], **_: Any) -> FreezeWindow:
        """Freeze promotions every week or once."""
        team = _team(given.pop("team"))
        return services.add_freeze(actor=self.principal, team=team, **given)


class CancelFreeze(Action):
    """End a freeze before its time."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ADMINISTER}
    takes = ReasonInput
    shows = shapes.FreezeSerializer

    def act(self, given: dict[str, Any], **path: Any) -> FreezeWindow:
        found = FreezeWindow.objects.select_related("team").filter(pk=path["freeze_id"]).first()
        if found is None:
            raise NotFound(f"there is no freeze {path['freeze_id']}")
        return services.cancel_freeze(actor=self.principal, freeze=found, **given)


class Hooks(Action, ListView):
    """Services that make checks; add one. Its secret is answered once."""

    permissions: ClassVar[Permissions] = GOVERNED
    keeps_answers = False
    queryset = CheckHook.objects.select_related("team")
    serializer_class = shapes.HookSerializer
    shows = shapes.HookSecretSerializer
    filterset_class = HookFilter
    takes = shapes.NewHookSerializer
    status = 201
    examples = (examples.HOOK,)

    def act(self, given: dict[str, Any], **_: Any) -> CheckHook:
        """Let a service check versions."""
        team = _team(given.pop("team"))
        hook, secret = services.add_check_hook(actor=self.principal, team=team, **given)
        hook.secret = secret  # shown this once instead of the sealed one
        return hook


class DisableHook(Action):
    """Call a service no more."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ADMINISTER}
    takes = ReasonInput
    shows = shapes.HookSerializer

    def act(self, given: dict[str, Any], **path: Any) -> CheckHook:
        found = CheckHook.objects.select_related("team").filter(name=path["name"]).first()
        if found is None:
            raise NotFound(f"there is no check hook {path['name']!r}")
        return services.disable_check_hook(actor=self.principal, hook=found, **given)


class KnownChecks(ApiView):
    """Checks that policies may name."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.KnownCheckSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every check by name, those of the examination and the webhooks too."""
        rows = [
            {"name": name, "title": title, "says": "Of the examination of the artifact."}
            for name, title in TITLES.items()
        ]
        rows += [
            {"name": one.name, "title": one.title, "says": (type(one).__doc__ or "").split("\n")[0]}
            for one in checks.registered()
        ]
        rows += [
            {"name": hook.check_name, "title": hook.title, "says": "A webhook's."}
            for hook in CheckHook.objects.filter(disabled_at=None)
        ]
        return Response(shapes.KnownCheckSerializer(rows, many=True).data)


class ModelTerms(ApiView):
    """What promotions of a model need now."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(parameters=[shapes.OneStageSerializer], responses=shapes.ModelTermsSerializer)
    def get(self, request: Request, model: str) -> Response:
        """The ladder in force, and the terms of each stage or of the one asked for."""
        given = validated(shapes.OneStageSerializer(data=request.query_params.dict()))
        found = get_model(model)
        ladder = ladder_of(found.team_id)
        version = ModelVersion(model=found)
        wanted = [given["stage"]] if given.get("stage") else list(ladder.targets)
        rungs = [
            {"key": one.key, "title": one.title, "allowance": one.allowance.value}
            for one in ladder.rungs
        ]
        terms = [terms_for(version, stage, ladder).as_json for stage in wanted]
        shown = shapes.ModelTermsSerializer({"stages": rungs, "terms": terms})
        return Response(shown.data)
