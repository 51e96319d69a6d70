"""When a message is sent again, and what is sent and signed: pure."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest

from apps.notices import payload, schedule, signing
from apps.notices.schedule import Outcome, Verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (302, Verdict.AGAIN),
        (400, Verdict.AGAIN),
        (500, Verdict.AGAIN),
        (429, Verdict.HOLD),
        (503, Verdict.HOLD),
        (None, Verdict.HOLD),
        (410, Verdict.GONE),
    ],
)
def test_judge__status__says_what_follows(status: int | None, verdict: Verdict) -> None:
    assert schedule.judge(Outcome(status=status)) is verdict


def test_wait__each_failure__longer_up_to_a_bound() -> None:
    waits = [schedule.wait(tries, jitter=0.0) for tries in range(1, schedule.MOST_TRIES)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (schedule.FIRST_WAIT, schedule.LONGEST_WAIT)
    assert timedelta(hours=12) < sum(waits, timedelta()) < timedelta(days=1)


def test_wait__jitter__takes_off_up_to_a_quarter() -> None:
    full, jittered = schedule.wait(3, jitter=0.0), schedule.wait(3, jitter=0.999)
    assert 0.75 * full <= jittered < 0.76 * full


def test_hold__retry_after__is_honoured_up_to_an_hour() -> None:
    assert schedule.hold(9, jitter=0.0) == schedule.LONGEST_HOLD
    assert schedule.hold(1, jitter=0.0, retry_after_s=60) == timedelta(seconds=60)
    assert schedule.hold(1, jitter=0.0, retry_after_s=1e6) == timedelta(hours=1)


@pytest.mark.parametrize(
    ("verbs", "objects", "heard"),
    [
        ([], [], True),
        (["promotion.*"], [], True),
        (["rollout.*", "promotion.approved"], [], True),
        (["rollout.*"], [], False),
        ([], ["version:flights/*"], True),
        (["promotion.*"], ["version:fraud/*"], False),
    ],
)
def test_hears__patterns__all_kinds_must_fit(
    verbs: list[str], objects: list[str], heard: bool
) -> None:
    told = {"verb": "promotion.approved", "object_key": "version:flights/2"}
    assert payload.hears(verbs, objects, **told) is heard


def test_headers__two_secrets__both_sign_after_the_standard() -> None:
    first, second = signing.new_secret(), signing.new_secret()
    body = b'{"type":"x"}'
    headers = signing.headers(message_id="msg_1", timestamp=7, body=body, secrets=[first, second])
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "7")
    signed = [
        hmac.new(
            base64.b64decode(secret.removeprefix("whsec_")), b"msg_1.7." + body, hashlib.sha256
        ).digest()
        for secret in (first, second)
    ]
    expected = [f"v1,{base64.b64encode(one).decode()}" for one in signed]
    assert headers["webhook-signature"].split(" ") == expected


def test_headers__known_answer__of_the_standards_own_example() -> None:
    """standardwebhooks.com, reference libraries: the vector that all of them share."""
    headers = signing.headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_seal__what_is_kept__is_not_the_secret() -> None:
    secret = signing.new_secret()
    assert secret.encode() not in signing.seal(secret)
    assert signing.unseal(signing.seal(secret)) == secret
