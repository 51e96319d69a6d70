"""Changing how an endpoint serves, in the browser."""

import pytest
from playwright.sync_api import expect

from apps.accounts.access import Role
from tests.browser.conftest import PersonFactory, Site
from tests.routing.factories import deployed, make_endpoint, route, stable

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_policy__fault_then_mended__shown_on_the_endpoint(
    site: Site, person: PersonFactory
) -> None:
    route(make_endpoint(), stable(deployed(1)))
    page = site.sign_in(person("olga", Role.OPERATOR), width=390)
    page.goto(f"{site.url}/endpoints/flights/")
    page.click("text=Edit…")
    expect(page.locator("#policy-cache-ttl_s")).to_be_hidden()
    page.check("[data-switch=part-cache-fields]")
    page.fill("#policy-cache-ttl_s", "-1")
    page.fill("#reason", "asked again and again")
    page.click("text=Change the policy")
    expect(page.locator("#policy-cache-ttl_s-error")).to_have_text("Must be positive")
    expect(page.locator("#policy-cache-ttl_s")).to_be_focused()
    page.fill("#policy-cache-ttl_s", "60")
    page.keyboard.press("Enter")
    expect(page.locator("#endpoint-policy")).to_contain_text("equal features for 1 min")
