"""Shadow agreement as a check: what is too little, too unlike, and enough."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.monitoring.models import ShadowWindow
from apps.registry import checks
from apps.registry.checks import CheckContext
from tests.registry.factories import make_version

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 1, tzinfo=UTC)


def ran(rows: int, hours: float, *, agreed: float = 0.99, failed: int = 0) -> None:
    """The shadow flights/2 beside flights/1: half of the rows at each end."""
    for at in (START, START + timedelta(hours=hours)):
        ShadowWindow.objects.create(
            endpoint="flights",
            width_s=3_600,
            started_at=at,
            version_key="flights/2",
            baseline_key="flights/1",
            segment="",
            rows=rows // 2,
            labelled=rows // 2,
            agreements=round(rows // 2 * agreed),
            errors={"timeout": failed // 2} if failed else {},
        )


@pytest.mark.parametrize(
    ("given", "settings", "verdict"),
    [
        (None, {}, "inconclusive"),
        ({"rows": 800, "hours": 30}, {}, "inconclusive"),
        ({"rows": 8_000, "hours": 20}, {}, "inconclusive"),
        ({"rows": 8_000, "hours": 25}, {}, "pass"),
        ({"rows": 8_000, "hours": 25}, {"minimum_s": 604_800}, "inconclusive"),
        ({"rows": 8_000, "hours": 25}, {"minimum_agreement": 0.98}, "pass"),
        ({"rows": 8_000, "hours": 25, "agreed": 0.9}, {"minimum_agreement": 0.98}, "fail"),
        ({"rows": 8_000, "hours": 25}, {"minimum_agreement": 0.99}, "inconclusive"),
        ({"rows": 100, "hours": 1, "failed": 100}, {}, "fail"),
        ({"rows": 100, "hours": 1}, {"least": 3}, "error"),
    ],
)
def test_shadow__each_run__its_verdict(
    given: dict[str, Any] | None, settings: dict[str, Any], verdict: str
) -> None:
    champion, version = make_version(stage="production"), make_version()
    if given is not None:
        ran(**given)
    check = checks.named("shadow")
    assert check is not None
    context = CheckContext(version, champion, "production", settings, START)
    assert check.applies_to(context)
    found = checks.run_guarded(check, context)
    assert (found.verdict, "flights/1" in found.detail) == (verdict, verdict != "error")


def test_shadow__without_a_champion__does_not_apply() -> None:
    check = checks.named("shadow")
    assert check is not None
    context = CheckContext(make_version(), None, "production", {}, START)
    assert not check.applies_to(context)
