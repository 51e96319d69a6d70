"""A person's way through the product: sign in, approve, watch a ramp move, roll it back."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.accounts.access import Role
from apps.deployments.rollout import State
from apps.registry import services as registry
from apps.registry.models import PromotionRequest, Validation
from tests.browser.conftest import PersonFactory, Site
from tests.deployments.ramps import planned
from tests.registry.factories import make_version, scientist

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def asked() -> PromotionRequest:
    """Version 3 of the flights model, validated, its promotion asked for."""
    version = make_version(number=3, metrics={"accuracy": 0.81})
    now = timezone.now()
    Validation.objects.create(
        version=version,
        state="passed",
        digest=version.content_digest(),
        checks=[{"name": "schema", "verdict": "pass", "detail": "It fits.", "figures": {}}],
        requested_by="user:ada",
        lease_expires_at=now,
        finished_at=now,
    )
    return registry.request_promotion(
        actor=scientist(), version=version, stage="staging", reason="Recall is up."
    )


def test_approval__signed_in_the_browser__moves_the_version(
    site: Site, person: PersonFactory
) -> None:
    request = asked()
    page = site.sign_in(person("grace", Role.APPROVER))
    page.goto(f"{site.url}/approvals/?box=mine")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Promote flights v3 to staging")
    page.click("text=Approve…")
    page.fill("#approve-reason", "Slices look right.")
    page.click("dialog[open] button[type=submit]")
    expect(page.locator(".page-head .badge").first).to_have_text("Approved")
    request.refresh_from_db()
    assert (request.state, request.decision_reason) == ("approved", "Slices look right.")


def test_approval__opened_by_the_requester__offers_no_decision(
    site: Site, person: PersonFactory
) -> None:
    request = asked()
    page = site.sign_in(person("ada", Role.SCIENTIST, Role.APPROVER))
    page.goto(f"{site.url}/approvals/{request.pk}/")
    expect(page.get_by_role("note")).to_contain_text("four eyes")
    expect(page.get_by_text("Approve…")).to_have_count(0)


def test_rollout__page_left_open__moves_by_itself_and_rolls_back(
    site: Site, person: PersonFactory
) -> None:
    ramp = planned()
    page = site.sign_in(person("olga", Role.OPERATOR))
    page.goto(f"{site.url}/rollouts/{ramp.rollout.pk}/")
    expect(page.locator("[data-live-state]").first).to_have_text("Live")
    ramp.tick()
    expect(page.locator("#rollout-state .state")).to_contain_text("Step 1 of 3, 5 % of users")
    ramp.pass_step()
    expect(page.locator("#rollout-state .state")).to_contain_text("Step 2 of 3, 50 % of users")
    page.click("text=Roll back now…")
    page.fill("dialog[open] textarea", "Support is calling.")
    page.click("dialog[open] button[type=submit]")
    expect(page.locator("#rollout-state .badge").first).to_have_text("Rolled back")
    assert ramp.fresh().state == State.ROLLED_BACK
    assert ramp.weights() == {"stable": 10_000}


def test_page__of_somebody_signed_out__asks_to_sign_in(site: Site, person: PersonFactory) -> None:
    page = site.page()
    page.goto(f"{site.url}/models/")
    expect(page).to_have_url(f"{site.url}/sign-in/?next=/models/")
