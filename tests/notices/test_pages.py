"""Pages of webhooks: add, read, test, replay, switch."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.access import Role
from apps.notices import sending, services
from apps.notices.models import Delivery, DeliveryState, Webhook
from tests.accounts import factories as people
from tests.notices import factories
from tests.notices.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    user = people.user(Role.ADMIN)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_pages__a_webhook_from_first_to_last(admin: Client, receiver: Receiver) -> None:
    assert "No webhooks yet" in text(admin, "/webhooks/")
    form = {"team": "flights", "url": receiver.url(), "verbs": "promotion.*, rollout.*"}
    refused = admin.post("/webhooks/new", {**form, "url": "https://127.0.0.1:1/"})
    assert refused.status_code == 422
    assert "not a public address" in refused.content.decode()
    made = admin.post("/webhooks/new", form)
    assert "whsec_" in made.content.decode()
    webhook = Webhook.objects.get()
    assert webhook.verbs == ["promotion.*", "rollout.*"]
    page = f"/webhooks/{webhook.pk}/"
    assert "whsec_" not in text(admin, page)
    sent = admin.post(f"{page}test")
    assert "Not tried yet" in text(admin, sent["Location"])
    sending.send_due()
    assert "Delivered after one try" in text(admin, sent["Location"])
    Delivery.objects.update(state=DeliveryState.DEAD)
    assert "Given up" in text(admin, sent["Location"])
    admin.post(f"{sent['Location']}replay")
    assert sending.send_due() == 1
    assert "whsec_" in admin.post(f"{page}rotate", {"reason": "yearly"}).content.decode()
    admin.post(f"{page}disable", {"reason": "noise"})
    assert "Disabled: noise" in text(admin, page)
    admin.post(f"{page}enable", {"reason": "quiet now"})
    admin.post(f"{page}replay-dead", {"reason": "all of it"})
    assert "is on its way" in text(admin, page)
    assert text(admin, "/webhooks/").count(receiver.url().replace("&", "&amp;")) == 1
    admin.post(f"{page}delete", {"reason": "done"})
    assert admin.get(page).status_code == 404


def test_page__reader_without_the_role__sees_and_may_not_write(
    client: Client, receiver: Receiver
) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    user = people.user(Role.READ_ONLY)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert "Send a test" not in text(client, f"/webhooks/{webhook.pk}/")
    assert "Send now" not in text(client, f"/webhooks/deliveries/{webhook.deliveries.get().pk}/")
    assert client.post(f"/webhooks/{webhook.pk}/test").status_code == 403


@pytest.mark.parametrize("path", ["/webhooks/", "/webhooks/{pk}/", "/api/v1/webhooks"])
def test_lists__many_times_the_rows__same_number_of_queries(
    admin: Client, receiver: Receiver, path: str
) -> None:
    counts = []
    for more in (1, 12):
        for _ in range(more):
            webhook, _ = factories.webhook(receiver.url(), description="long " * 40)
            services.publish(event=factories.event())
        with CaptureQueriesContext(connection) as captured:
            text(admin, path.format(pk=webhook.pk))
        counts.append(len(captured))
    assert counts[0] == counts[1]
