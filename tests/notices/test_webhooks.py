"""A team's webhooks: what they hear, how it is sent, and what becomes of what is not taken."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.errors import PermissionDenied
from apps.accounts.principals import of_user
from apps.events.models import Event
from apps.notices import schedule, sending, services, signing
from apps.notices.errors import Refused, WebhookDisabled
from apps.notices.models import Attempt, Delivery, DeliveryState, Webhook
from tests.accounts import factories as people
from tests.conftest import Configure
from tests.notices import factories
from tests.notices.receiver import Received, Receiver

pytestmark = pytest.mark.django_db


def signed_by(secret: str, got: Received) -> bool:
    expected = signing.headers(
        message_id=got.headers["webhook-id"],
        timestamp=int(got.headers["webhook-timestamp"]),
        body=got.body,
        secrets=[secret],
    )["webhook-signature"]
    return expected in got.headers["webhook-signature"].split(" ")


def make_due() -> None:
    Delivery.objects.update(due_at=timezone.now())
    Webhook.objects.update(resumes_at=None)


def test_event__of_the_team__is_sent_signed_and_once(receiver: Receiver) -> None:
    webhook, secret = factories.webhook(receiver.url(), verbs=["promotion.*"])
    factories.webhook(receiver.url(), team_key="fraud")
    event = factories.event(after={"version": "flights/2"}, reason="because")
    for heard in (event, event, factories.event("rollout.created")):
        services.publish(event=heard)
    assert sending.send_due() == 1
    (got,) = receiver.received
    delivery = webhook.deliveries.get()
    assert signed_by(secret, got)
    assert got.headers["webhook-id"] == delivery.message_id
    assert abs(int(got.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    message = json.loads(got.body)
    assert (message["type"], message["data"]["object"]) == ("promotion.requested", "promotion:1")
    assert message["data"]["after"] == {"version": "flights/2"}
    assert delivery.state == DeliveryState.DELIVERED
    (attempt,) = Attempt.objects.filter(delivery=delivery)
    assert (attempt.status, attempt.error) == (204, "")
    assert sending.send_due() == 0


def test_event__far_too_large__is_sent_without_what_changed(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event(after={"text": "x" * 70_000}))
    message = json.loads(webhook.deliveries.get().body)
    assert message["data"]["after"] is None
    assert message["data"]["shortened"] is True


def test_event__about_the_webhook_itself__is_not_sent_to_it(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=Event.objects.get(object_key=webhook.key))
    assert not Delivery.objects.exists()


def test_messages__of_one_address__arrive_in_order(receiver: Receiver) -> None:
    factories.webhook(receiver.url())
    for number in range(5):
        services.publish(event=factories.event(after={"number": number}))
    assert sending.send_due() == 5
    numbers = [json.loads(got.body)["data"]["after"]["number"] for got in receiver.received]
    assert numbers == [0, 1, 2, 3, 4]


def test_message__refused__comes_again_and_holds_nobody(receiver: Receiver) -> None:
    webhook, secret = factories.webhook(receiver.url())
    for _ in range(2):
        services.publish(event=factories.event())
    receiver.answer(500, 200)
    assert sending.send_due() == 2
    states = list(webhook.deliveries.order_by("id").values_list("state", "tries"))
    assert states == [("pending", 1), ("delivered", 1)]
    assert sending.send_due() == 0
    make_due()
    assert sending.send_due() == 1
    first, _, again = receiver.received
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert signed_by(secret, again)


def test_address__away__holds_all_its_messages_and_no_others(
    receiver: Receiver, configure: Configure
) -> None:
    configure(outbound_allow="127.0.0.1")
    gone, _ = factories.webhook("http://127.0.0.1:1/")
    factories.webhook(receiver.url())
    for _ in range(3):
        services.publish(event=factories.event())
    assert sending.send_due() == 4
    gone.refresh_from_db()
    assert gone.failures == 1
    assert gone.resumes_at is not None
    assert len(receiver.received) == 3
    assert "Address did not answer" in Attempt.objects.get(delivery__webhook=gone).error


def test_message__never_taken__is_dead_and_replayed_under_its_id(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    receiver.answer(400)
    for _ in range(schedule.MOST_TRIES + 1):
        make_due()
        sending.send_due()
    delivery = webhook.deliveries.get()
    assert (delivery.state, delivery.tries) == (DeliveryState.DEAD, schedule.MOST_TRIES)
    assert len(receiver.received) == schedule.MOST_TRIES
    assert delivery.attempts.count() == schedule.MOST_TRIES
    receiver.answer(200)
    services.replay(actor=people.TESTS, delivery=delivery, reason="it is back")
    assert sending.send_due() == 1
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert webhook.deliveries.get().state == DeliveryState.DELIVERED
    assert Event.objects.filter(verb="delivery.replayed", reason="it is back").count() == 1


def test_dead_messages__replayed_together__since_a_moment(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    for _ in range(3):
        services.publish(event=factories.event())
    Delivery.objects.update(state=DeliveryState.DEAD)
    long_ago = timezone.now() - timedelta(days=2)
    Delivery.objects.filter(pk=webhook.deliveries.earliest("id").pk).update(created_at=long_ago)
    yesterday = timezone.now() - timedelta(days=1)
    again = services.replay_dead(
        actor=people.TESTS, webhook=webhook, since=yesterday, reason="it was down"
    )
    assert again == 2
    assert sending.send_due() == 2


def test_address__days_of_failure__is_disabled_and_says_why(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    receiver.answer(500)
    Webhook.objects.update(first_failed_at=timezone.now() - timedelta(days=4))
    sending.send_due()
    webhook.refresh_from_db()
    assert webhook.disabled_reason == "every try failed for 3 days"
    told = Event.objects.get(verb="webhook.disabled")
    assert (told.actor_key, told.team_key) == ("system:webhooks", "flights")
    make_due()
    assert sending.send_due() == 0
    with pytest.raises(WebhookDisabled):
        services.send_test(actor=people.TESTS, webhook=webhook)
    receiver.answer(200)
    services.enable_webhook(actor=people.TESTS, webhook=webhook, reason="mended")
    assert sending.send_due() == 1


def test_address__gone__is_disabled_at_once(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    receiver.answer(410)
    sending.send_due()
    webhook.refresh_from_db()
    assert webhook.disabled_at is not None
    assert webhook.deliveries.get().state == DeliveryState.DEAD


def test_secret__rotated_with_overlap__both_sign_until_it_ends(receiver: Receiver) -> None:
    webhook, old = factories.webhook(receiver.url())
    _, new = services.rotate_secret(actor=people.TESTS, webhook=webhook, overlap=timedelta(hours=1))
    services.send_test(actor=people.TESTS, webhook=webhook)
    sending.send_due()
    Webhook.objects.update(overlap_ends_at=timezone.now())
    services.send_test(actor=people.TESTS, webhook=webhook)
    sending.send_due()
    during, after = receiver.received
    assert [signed_by(old, during), signed_by(new, during)] == [True, True]
    assert [signed_by(old, after), signed_by(new, after)] == [False, True]


def test_secret__of_another_key__is_a_failure_in_words(receiver: Receiver, settings: Any) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    settings.SECRET_KEY = "another key altogether"
    sending.send_due()
    assert "rotate it" in Attempt.objects.get(delivery__webhook=webhook).error
    assert receiver.received == []


def test_webhook__private_address__is_not_kept() -> None:
    with pytest.raises(Refused):
        factories.webhook("https://169.254.169.254/latest/meta-data/")
    assert not Webhook.objects.exists()


def test_webhook__of_a_team__its_administrators_alone_write(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    operator = of_user(people.user(Role.OPERATOR))
    stranger = of_user(people.user(Role.ADMIN, team_key="fraud"))
    for actor in (operator, stranger):
        with pytest.raises(PermissionDenied):
            services.disable_webhook(actor=actor, webhook=webhook, reason="mine")


def test_old_messages__after_their_days__are_forgotten(receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    for _ in range(2):
        services.publish(event=factories.event())
    old = webhook.deliveries.latest("id")
    Delivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=31))
    services.expire_deliveries(now=timezone.now())
    assert not Delivery.objects.filter(pk=old.pk).exists()
    assert Delivery.objects.count() == 1


def test_rest__a_webhook_from_first_to_last(client: Client, receiver: Receiver) -> None:
    headers = people.bearer(Role.ADMIN)

    def call(method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        answer = client.generic(
            method,
            f"/api/v1/{path}",
            json.dumps(body or {}),
            content_type="application/json",
            headers=headers,
        )
        assert answer.status_code == expect, answer.content
        return answer.json() if answer.content else None

    refused = {"team": "flights", "url": "http://127.0.0.1:6379/"}
    problem = call("POST", "webhooks", refused, 422)
    assert problem["errors"] == [{"path": "$.url", "detail": problem["detail"]}]
    made = call("POST", "webhooks", {"team": "flights", "url": receiver.url()}, 201)
    assert made["secret"].startswith("whsec_")
    one = f"webhooks/{made['id']}"
    assert "secret" not in call("GET", one)
    assert [row["id"] for row in call("GET", "webhooks?team=flights")["results"]] == [made["id"]]
    call("PATCH", one, {"verbs": ["no spaces"], "reason": "x"}, 422)
    call("PATCH", one, {"verbs": ["rollout.*"]}, 400)
    changed = call("PATCH", one, {"verbs": ["rollout.*"], "reason": "less noise"})
    assert (changed["verbs"], changed["url"]) == (["rollout.*"], receiver.url())
    assert call("POST", f"{one}/rotate", {"overlap_s": 60})["secret"] != made["secret"]
    sent = call("POST", f"{one}/test", {}, 202)
    sending.send_due()
    seen = call("GET", f"webhook-deliveries/{sent['id']}")
    assert (seen["state"], seen["attempts"][0]["status"]) == ("delivered", 204)
    assert json.loads(seen["body"])["type"] == "webhook.test"
    assert call("GET", f"{one}/deliveries?state=delivered")["results"][0]["id"] == sent["id"]
    call("POST", f"webhook-deliveries/{sent['id']}/replay", {}, 202)
    assert call("POST", f"{one}/replay-dead", {"reason": "all"}) == {"messages": 0}
    assert call("POST", f"{one}/disable", {"reason": "quiet"})["enabled"] is False
    call("POST", f"{one}/test", {}, 409)
    assert call("POST", f"{one}/enable", {"reason": "loud"})["enabled"] is True
    call("DELETE", one, {"reason": "done"}, 204)
    call("GET", one, expect=404)
    verbs = set(
        Event.objects.filter(object_key=f"webhook:{made['id']}").values_list("verb", flat=True)
    )
    assert len(verbs) == 8


def test_rest__another_teams__is_not_there(client: Client, receiver: Receiver) -> None:
    webhook, _ = factories.webhook(receiver.url())
    services.publish(event=factories.event())
    headers = people.bearer(Role.ADMIN, team_key="fraud")
    for path in (
        f"webhooks/{webhook.pk}",
        f"webhooks/{webhook.pk}/deliveries",
        f"webhook-deliveries/{webhook.deliveries.get().pk}",
    ):
        assert client.get(f"/api/v1/{path}", headers=headers).status_code == 404
    assert client.get("/api/v1/webhooks", headers=headers).json()["results"] == []
