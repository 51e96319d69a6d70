"""Every page, wide and narrow, light and dark: no serious finding of axe, no sideways scrolling."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

from apps.accounts.access import Role
from tests.browser.conftest import PersonFactory, Site
from tests.browser.test_journey import asked
from tests.deployments.ramps import started

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GRAVE = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """What axe finds grave on the page."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{found['id']}: {node['html'][:120]}"
        for found in violations
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


@pytest.mark.parametrize(
    ("width", "theme"),
    [pytest.param(1440, "light", marks=pytest.mark.proof), (390, "dark")],
)
def test_pages__wide_and_narrow__have_no_grave_findings(
    site: Site, person: PersonFactory, width: int, theme: str
) -> None:
    ramp, request = started(), asked()
    page = site.sign_in(person("ida", Role.ADMIN), width=width, theme=theme)
    paths = [
        "/",
        "/models/",
        "/models/flights/",
        "/models/flights/card",
        "/models/flights/compare?left=1&right=3",
        "/models/flights/history",
        "/models/flights/versions/3/",
        "/models/flights/versions/3/lineage/",
        "/approvals/",
        f"/approvals/{request.pk}/",
        "/policies/",
        "/endpoints/",
        f"/endpoints/{ramp.endpoint.name}/",
        f"/endpoints/{ramp.endpoint.name}/policy",
        "/rollouts/",
        f"/rollouts/{ramp.rollout.pk}/",
        "/experiments/",
        "/audit/",
        "/password/",
        "/security/",
        "/security/confirm/",
        "/teams/",
        "/teams/flights/",
        "/webhooks/",
        "/notices/",
        "/people/",
        "/people/ida/",
        "/service-accounts/",
    ]
    assert not [(path, found) for path in paths for found in look(page, site.url + path)]


def look(page: Page, address: str) -> list[str]:
    """Everything that is wrong with the page at `address`, what its policy blocked included."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.append(message.text)

    page.on("console", hear)
    page.goto(address)
    page.wait_for_timeout(300)
    page.remove_listener("console", hear)
    blocked = [text for text in said if "Content Security Policy" in text]
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return blocked + findings(page) + (["scrolls sideways"] if page.evaluate(wide) else [])
