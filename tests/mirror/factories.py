"""Mirrors to test with."""

from typing import Any

from django.utils import timezone

from apps.accounts.access import Principal, Role
from apps.mirror import services
from apps.mirror.models import Difference, Mirror, MirroredModel, MirroredVersion
from apps.registry.models import ModelVersion
from tests.registry.factories import make_team, person


def administrator() -> Principal:
    """Whoever makes mirrors."""
    return person("linus", Role.ADMIN)


def make_mirror(**given: Any) -> Mirror:
    """A mirror of the configured MLflow, for team ops."""
    return make_secret_mirror(**given)[0]


def make_secret_mirror(**given: Any) -> tuple[Mirror, str]:
    """A mirror and the secret of its hints."""
    actor = administrator()
    fields = {"title": "research", **given}
    return services.create_mirror(actor=actor, team=make_team(), **fields)


def make_difference(version: ModelVersion, *, alias: str = "champion") -> Difference:
    """An alias that was moved in MLflow to this version of ours, in a mirror of its team."""
    model = version.model
    mirror, _ = Mirror.objects.get_or_create(
        team=model.team,
        tracking_uri="https://mlflow.example",
        defaults={"title": "research", "owner": model.owner, "hint_secret": b""},
    )
    mirrored, _ = MirroredModel.objects.get_or_create(
        mirror=mirror, name=model.name, defaults={"model": model, "unwritten_at": timezone.now()}
    )
    row, _ = MirroredVersion.objects.get_or_create(
        mirrored=mirrored, number=version.number, defaults={"version": version}
    )
    return Difference.objects.create(
        mirrored=mirrored,
        mirrored_version=row,
        kind="alias_moved",
        subject=alias,
        was={"version": "1"},
        found={"version": "2"},
        found_at=timezone.now(),
    )
