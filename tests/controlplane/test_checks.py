"""Settings that are wrong are refused at boot, by name."""

import base64
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import SecretStr

from controlplane import checks


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Any:
    def apply(**fields: object) -> None:
        monkeypatch.setattr(settings, "CONFIG", settings.CONFIG.model_copy(update=fields))

    return apply


def test_keys__as_generated__fine() -> None:
    assert checks.check_keys() == []


@pytest.mark.parametrize("key", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_keys__signing_key_does_not_decode__named(change: Any, key: str) -> None:
    change(routing_signing_key=SecretStr(key))
    (message,) = checks.check_keys()
    assert "ROUTING_SIGNING_KEY" in message.msg


@pytest.mark.parametrize(
    "keys", ["", "primary:AAAA", "other:" + base64.b64encode(bytes(32)).decode()]
)
def test_keys__own_public_key_not_trusted__named(change: Any, keys: str) -> None:
    change(routing_public_keys=keys)
    (message,) = checks.check_keys()
    assert "ROUTING_PUBLIC_KEYS" in message.msg


def test_urls__as_generated__fine() -> None:
    assert checks.check_urls() == []


@pytest.mark.parametrize("text", ["", "127.0.0.1:9000", "ftp://x", "http://", "http://x:port"])
def test_urls__no_address__named_without_its_text(change: Any, text: str) -> None:
    change(s3_endpoint_url=text)
    (message,) = checks.check_urls()
    assert message.msg.startswith("S3_ENDPOINT_URL is not an address")


def test_urls__password_in_a_bad_one__not_shown(change: Any) -> None:
    change(redis_url=SecretStr("rediss//:hunter2@x"))
    assert "hunter2" not in str(checks.check_urls())


def test_production__conveniences_of_the_demo__refused(change: Any) -> None:
    change(
        switchyard_env="production",
        debug=True,
        secure_cookies=False,
        django_secret_key=SecretStr("short"),
        allowed_hosts="*",
    )
    found = " ".join(str(message.msg) for message in checks.check_production())
    for name in ("DEBUG", "DJANGO_SECRET_KEY", "SECURE_COOKIES", "ALLOWED_HOSTS"):
        assert name in found


@pytest.mark.django_db
def test_database_role__owns_the_log__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT_NAME", "demo")
    (message,) = checks.check_database_role(databases=["default"])
    assert "owns the event log" in message.msg


@pytest.mark.django_db
def test_database_role__application__fine(
    change: Any, monkeypatch: pytest.MonkeyPatch, services: Any
) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT_NAME", "demo")
    change(database_url=SecretStr(services.app_url("switchyard")))
    assert checks.check_database_role(databases=["default"]) == []


def test_validate__something_wrong__refuses_to_start(change: Any) -> None:
    change(s3_endpoint_url="nowhere")
    with pytest.raises(ImproperlyConfigured, match="S3_ENDPOINT_URL"):
        checks.validate()
