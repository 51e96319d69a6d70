"""Which ladder, policy and freeze hold for a version now: the narrowest edition in force."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from django.db.models import Q

from apps.accounts.models import Team
from apps.registry.models import (
    FreezeWindow,
    ModelVersion,
    PromotionPolicy,
    StageLadder,
    digest_of,
)
from apps.registry.policy import Policy, default_policy
from apps.registry.promotion import DEFAULT_LADDER, Ladder

BUILT_IN = "built in"


@dataclass(frozen=True)
class Terms:
    """What promotion of one version into one stage needs, and where that is written.

    `source` is the policy's key and edition ("policy:ops/production/*, edition 3"), or "built in".
    """

    stage: str
    allowance: str
    source: str
    policy: Policy

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """What a request keeps of it, and what is signed."""
        return {
            "stage": self.stage,
            "allowance": self.allowance,
            "source": self.source,
            "rules": msgspec.to_builtins(self.policy),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex of `as_json`."""
        return digest_of(self.as_json)


@dataclass(frozen=True)
class Freeze:
    """A freeze that holds now, and when it ends."""

    window: FreezeWindow
    until: datetime


def ladder_of(team: Team | int | None) -> Ladder:
    """The team's own ladder, or the organisation's, or the one that is built in."""
    mine = Q(team__isnull=True) if team is None else Q(team=team) | Q(team__isnull=True)
    rows = StageLadder.objects.filter(mine).order_by("team_id", "-number").distinct("team_id")
    # The team's row comes first: Postgres sorts nulls last.
    found = (row.ladder() for row in rows)
    return next((ladder for ladder in found if ladder is not None), DEFAULT_LADDER)


def terms_for(version: ModelVersion, stage: str, ladder: Ladder | None = None) -> Terms:
    """What holds for promoting `version` into `stage` now: team before organisation, tier before
    any tier."""
    ladder = ladder or ladder_of(version.model.team_id)
    tier = version.model.tier
    rows = PromotionPolicy.objects.newest().filter(
        Q(team=version.model.team_id) | Q(team__isnull=True),
        Q(tier=tier) | Q(tier=""),
        stage=stage,
    )
    found = _narrowest(rows.select_related("team"))
    policy = found.policy() if found else None
    return Terms(
        stage=stage,
        allowance=ladder.allowance(stage).value,
        source=str(found) if found else BUILT_IN,
        policy=policy or default_policy(tier=tier, top=stage == ladder.top),
    )


def _narrowest(rows: Iterable[PromotionPolicy]) -> PromotionPolicy | None:
    held = [row for row in rows if row.rules is not None]
    held.sort(key=lambda row: (row.team_id is None, row.tier == ""))
    return held[0] if held else None


def freeze_on(version: ModelVersion, stage: str, *, now: datetime) -> Freeze | None:
    """The freeze that holds for promoting `version` into `stage`, the last to end; or None."""
    windows = FreezeWindow.objects.binding(
        team=version.model.team, stage=stage, tier=version.model.tier
    )
    ends = ((window, window.until(now)) for window in windows)
    held = [Freeze(window, until) for window, until in ends if until is not None]
    return max(held, key=lambda freeze: freeze.until, default=None)
