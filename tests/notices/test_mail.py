"""Mail to people: who hears of what, when they want it, through a real SMTP server."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.test import Client
from django.utils import timezone
from pydantic import SecretStr
from pytest_django import Settings

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.accounts.principals import of_service_account, of_user
from apps.notices import mailing, services
from apps.notices.models import Mail, MailState, Mode, NoticeKind, NoticePreference
from controlplane.mail import mail_server
from tests.accounts import factories as people
from tests.conftest import Configure
from tests.notices import factories

pytestmark = pytest.mark.django_db
PROMOTION = "promotion:01990000-0000-7000-8000-000000000001"
ROLLOUT = "rollout:01990000-0000-7000-8000-000000000002"
DEPLOYMENT = "deployment:01990000-0000-7000-8000-000000000003"
ASKED = {"version": "flights/2", "stage": "production"}


class Postbox:
    """What an SMTP server took; `refuses` makes it say so for every recipient."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.refuses = False

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.refuses:
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 taken"


@pytest.fixture
def postbox(settings: Settings, configure: Configure) -> Iterator[Postbox]:
    """An SMTP server on loopback that the platform sends through."""
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    configure(web_url="https://switchyard.example.com/")
    yield box
    controller.stop()


def person(role: Role, name: str) -> User:
    user = people.user(role, username=name)
    User.objects.filter(pk=user.pk).update(email=f"{name}@example.com")
    user.refresh_from_db()
    return user


@pytest.fixture
def team() -> dict[str, User]:
    """A scientist, two approvers and an operator, all with addresses."""
    return {
        "sofia": person(Role.SCIENTIST, "sofia"),
        "ana": person(Role.APPROVER, "ana"),
        "abel": person(Role.APPROVER, "abel"),
        "otto": person(Role.OPERATOR, "otto"),
    }


def recipients() -> set[str]:
    return set(Mail.objects.values_list("user__username", flat=True))


def ask(user: User, **told: Any) -> None:
    asked = factories.event(object_key=PROMOTION, actor=of_user(user), after=ASKED, **told)
    services.notify(event=asked)


def test_promotion_waiting__approvers_of_the_team__get_it_by_smtp(
    team: dict[str, User], postbox: Postbox
) -> None:
    person(Role.APPROVER, "away")
    User.objects.filter(username="away").update(is_active=False)
    people.user(Role.APPROVER)  # has no address
    ask(team["sofia"], reason="better at <night>")
    ask(team["ana"])  # an approver who asks is not told of it
    assert mailing.send_mails(now=timezone.now()) == 3
    assert mailing.send_mails(now=timezone.now()) == 0
    sent = sorted(str(message["To"]) for message in postbox.messages)
    assert sent == ["abel@example.com", "abel@example.com", "ana@example.com"]
    message = next(one for one in postbox.messages if one["To"] == "ana@example.com")
    assert message["Subject"] == "[Switchyard] flights/2 waits for your decision (production)"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    address = f"https://switchyard.example.com/approvals/{PROMOTION[10:]}/"
    assert address in text.get_content()
    assert "“better at <night>”" in text.get_content()
    assert f'<a href="{address}">' in html.get_content()
    assert "better at &lt;night&gt;" in html.get_content()
    assert "https://switchyard.example.com/notices/" in text.get_content()


def test_promotion_waiting__of_a_policy_with_groups__others_that_it_names_too(
    team: dict[str, User], postbox: Postbox
) -> None:
    person(Role.ANALYST, "vera")
    asked_of = {"teams": ["nobodys"], "people": ["user:vera"]}
    asked = factories.event(
        object_key=PROMOTION, actor=of_user(team["sofia"]), after={**ASKED, "asked_of": asked_of}
    )
    services.notify(event=asked)
    broken = factories.event(
        "promotion.glass_broken",
        object_key=PROMOTION,
        actor=of_user(team["ana"]),
        after={**ASKED, "freeze": "Weekend"},
        reason="fraud goes through",
    )
    services.notify(event=broken)
    assert mailing.send_mails(now=timezone.now()) >= 4
    told = [m["Subject"] for m in postbox.messages if m["To"] == "vera@example.com"]
    assert sorted(told) == [
        "[Switchyard] The glass was broken for flights/2 (production)",
        "[Switchyard] flights/2 waits for your decision (production)",
    ]


@pytest.mark.parametrize(
    "verb", ["approved", "rejected", "expired", "voided", "withdrawn"], ids=lambda verb: verb
)
def test_promotion_decided__whoever_asked__is_told_once(team: dict[str, User], verb: str) -> None:
    factories.event(object_key=PROMOTION, actor=of_user(team["sofia"]), after=ASKED)
    decided = factories.event(
        f"promotion.{verb}", object_key=PROMOTION, actor=of_user(team["ana"]), after=ASKED
    )
    for _ in range(2):
        services.notify(event=decided)
    mail = Mail.objects.get()
    assert (mail.user, mail.kind) == (team["sofia"], NoticeKind.PROMOTION_DECIDED)


def test_promotion_decided__a_program_asked__its_human_is_told(team: dict[str, User]) -> None:
    account = people.service_account(Role.CI)
    account.responsible = team["sofia"]
    factories.event(object_key=PROMOTION, actor=of_service_account(account), after=ASKED)
    services.notify(event=factories.event("promotion.approved", object_key=PROMOTION, after=ASKED))
    assert recipients() == {"sofia"}


def test_rollback_and_failed_deployment__owner_and_whoever_began_it(team: dict[str, User]) -> None:
    for owner in ("ana", "sofia"):  # the newest is the owner
        factories.event("model.updated", object_key="model:flights", after={"owner": owner})
    otto = of_user(team["otto"])
    factories.event(
        "rollout.created",
        object_key=ROLLOUT,
        actor=otto,
        after={"candidate": "flights/2", "endpoint": "flights"},
    )
    rolled_back = factories.event("rollout.rolled_back", object_key=ROLLOUT, reason="errors 4 %")
    services.notify(event=rolled_back)
    assert recipients() == {"otto", "sofia"}
    assert "flights/2" in Mail.objects.all()[0].sentence
    Mail.objects.all().delete()
    factories.event("deployment.requested", object_key=DEPLOYMENT, actor=otto)
    failed = factories.event(
        "deployment.failed", object_key=DEPLOYMENT, after={"version": "flights/2"}
    )
    services.notify(event=failed)
    assert recipients() == {"otto", "sofia"}


def test_restored_by_hand__owner_is_told__and_once_of_one_rollback(
    team: dict[str, User],
) -> None:
    factories.event("model.registered", object_key="model:flights", after={"owner": "sofia"})
    factories.event("endpoint.created", object_key="endpoint:flights", after={"model": "flights"})
    restored = factories.event(
        "endpoint.restored", object_key="endpoint:flights", actor=of_user(team["otto"])
    )
    services.notify(event=restored)
    assert recipients() == {"sofia"}
    Mail.objects.all().delete()
    factories.event("rollout.rolled_back", object_key=ROLLOUT)
    services.notify(event=restored)
    assert recipients() == set()


def test_preferences__daily__one_message_in_the_morning(
    team: dict[str, User], postbox: Postbox
) -> None:
    modes = {NoticeKind.PROMOTION_WAITING: Mode.DAILY}
    services.set_preferences(actor=of_user(team["ana"]), user=team["ana"], modes=modes)
    NoticePreference.objects.create(
        user=team["abel"], kind=NoticeKind.PROMOTION_WAITING, mode=Mode.NEVER
    )
    for _ in range(3):
        ask(team["sofia"])
    assert recipients() == {"ana"}
    assert mailing.send_mails(now=timezone.now()) == 0
    tomorrow = timezone.now() + timedelta(days=1)
    assert mailing.send_mails(now=tomorrow) == 1
    (message,) = postbox.messages
    assert message["Subject"] == "[Switchyard] 3 notices of today"
    assert set(Mail.objects.values_list("state", flat=True)) == {MailState.SENT}


def test_digest__is_at_its_hour__today_or_tomorrow(configure: Configure) -> None:
    configure(mail_digest_hour=8)
    at = datetime(2026, 3, 2, 7, 59, tzinfo=UTC)
    assert services.next_digest(now=at) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    later = at + timedelta(minutes=1)
    assert services.next_digest(now=later) == datetime(2026, 3, 3, 8, tzinfo=UTC)


def test_mail_server__refuses__tried_again_and_given_up(
    team: dict[str, User], postbox: Postbox
) -> None:
    ask(team["sofia"])
    postbox.refuses = True
    now = timezone.now()
    assert mailing.send_mails(now=now) == 0
    mail = Mail.objects.order_by("id").first()
    assert mail is not None
    assert (mail.tries, mail.state) == (1, MailState.WAITING)
    assert "451" in mail.error
    assert mail.due_at > now
    for _ in range(20):
        now += timedelta(days=2)
        mailing.send_mails(now=now)
    assert set(Mail.objects.values_list("state", flat=True)) == {MailState.FAILED}
    assert postbox.messages == []


def test_old_mails__after_their_days__are_forgotten(team: dict[str, User]) -> None:
    ask(team["sofia"])
    assert services.expire_mails(now=timezone.now() + timedelta(days=29)) == 0
    assert services.expire_mails(now=timezone.now() + timedelta(days=31)) == 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail:25", ("smtp", "mail", 25, "", False, False)),
        ("smtp://u%40x:p@mail?tls=starttls", ("smtp", "mail", 587, "u@x", True, False)),
        ("smtps://u:p@mail", ("smtp", "mail", 465, "u", False, True)),
        ("console:", ("console", "", 0, "", False, False)),
    ],
)
def test_email_url__each_form__is_read(url: str, expected: tuple[object, ...]) -> None:
    got = mail_server(SecretStr(url), home=Path("anywhere"))
    kind = got.backend.split(".")[-2]
    assert (kind, got.host, got.port, got.user, got.use_tls, got.use_ssl) == expected


def test_email_url__none__files_and_nonsense_refused(tmp_path: Path) -> None:
    for none in (None, SecretStr("")):
        assert mail_server(none, home=tmp_path).folder == str(tmp_path / "mail")
    with pytest.raises(ValueError, match="EMAIL_URL"):
        mail_server(SecretStr("imap://x"), home=tmp_path)


def test_preferences_page__choices__are_kept(client: Client, team: dict[str, User]) -> None:
    client.force_login(team["ana"], backend="django.contrib.auth.backends.ModelBackend")
    given = {"promotion_waiting": "daily", "rolled_back": "never", "deployment_failed": "often"}
    assert client.post("/notices/", given).status_code == 302
    chosen = services.preferences(user=team["ana"])
    assert chosen[NoticeKind.PROMOTION_WAITING] is Mode.DAILY
    assert chosen[NoticeKind.ROLLED_BACK] is Mode.NEVER
    assert chosen[NoticeKind.DEPLOYMENT_FAILED] is Mode.IMMEDIATELY
    assert "ana@example.com" in client.get("/notices/").content.decode()
