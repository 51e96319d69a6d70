"""Settings that are wrong are refused at boot, by name."""

import base64

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import SecretStr
from pytest_django import Settings

from controlplane import checks
from embedded.private import PrivateServices
from tests.conftest import Configure


def test_keys__as_generated__fine() -> None:
    assert checks.check_keys() == []


@pytest.mark.parametrize("key", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_keys__signing_key_does_not_decode__named(configure: Configure, key: str) -> None:
    configure(routing_signing_key=SecretStr(key))
    (message,) = checks.check_keys()
    assert "ROUTING_SIGNING_KEY" in message.msg


@pytest.mark.parametrize(
    "keys", ["", "primary:AAAA", "other:" + base64.b64encode(bytes(32)).decode()]
)
def test_keys__own_public_key_not_trusted__named(configure: Configure, keys: str) -> None:
    configure(routing_public_keys=keys)
    (message,) = checks.check_keys()
    assert "ROUTING_PUBLIC_KEYS" in message.msg


def test_urls__as_generated__fine() -> None:
    assert checks.check_urls() == []


@pytest.mark.parametrize("text", ["", "127.0.0.1:9000", "ftp://x", "http://", "http://x:port"])
def test_urls__no_address__named_without_its_text(configure: Configure, text: str) -> None:
    configure(s3_endpoint_url=text)
    (message,) = checks.check_urls()
    assert message.msg.startswith("S3_ENDPOINT_URL is not an address")


def test_urls__password_in_a_bad_one__not_shown(configure: Configure) -> None:
    configure(redis_url=SecretStr("rediss//:hunter2@x"))
    assert "hunter2" not in str(checks.check_urls())


def test_production__conveniences_of_the_demo__refused(configure: Configure) -> None:
    configure(
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
def test_database_role__owns_the_log__refused(settings: Settings) -> None:
    settings.ENVIRONMENT_NAME = "demo"
    (message,) = checks.check_database_role(databases=["default"])
    assert "owns the event log" in message.msg


@pytest.mark.django_db
def test_database_role__application__fine(
    configure: Configure, settings: Settings, services: PrivateServices
) -> None:
    settings.ENVIRONMENT_NAME = "demo"
    configure(database_url=SecretStr(services.app_url("switchyard")))
    assert checks.check_database_role(databases=["default"]) == []


def test_validate__something_wrong__refuses_to_start(configure: Configure) -> None:
    configure(s3_endpoint_url="nowhere")
    with pytest.raises(ImproperlyConfigured, match="S3_ENDPOINT_URL"):
        checks.validate()
