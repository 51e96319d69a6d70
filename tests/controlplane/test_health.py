"""Probes and figures of the web process."""

from typing import Any

import pytest
from django.test import Client
from pydantic import SecretStr
from pytest_django import Settings

from apps.events.models import Cursor
from tests.conftest import Configure


@pytest.fixture
def no_token(configure: Configure) -> None:
    configure(metrics_token=None)


def test_healthz__nobody_signed_in__ok(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_readyz__services_there__200(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "redis": "ok"})


@pytest.mark.django_db
def test_readyz__redis_away__still_200_and_says_so(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (200, "away")


@pytest.mark.django_db
@pytest.mark.usefixtures("no_token")
def test_metrics__from_this_machine__counts_answers_by_route(client: Client) -> None:
    client.get("/healthz")
    Cursor.objects.create(subscriber="slow", seq=0)
    text = client.get("/metrics").content.decode()
    assert 'switchyard_web_requests_total{method="GET",route="healthz",status="200"}' in text
    assert 'switchyard_subscriber_lag{subscriber="slow"} 0.0' in text
    assert "switchyard_events_unchained 0.0" in text


@pytest.mark.usefixtures("no_token")
@pytest.mark.parametrize(
    "extra",
    [{"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, {"REMOTE_ADDR": ""}],
)
def test_metrics__from_elsewhere__403(client: Client, extra: dict[str, Any]) -> None:
    assert client.get("/metrics", **extra).status_code == 403


@pytest.mark.django_db
def test_metrics__token_set__opens_to_it_alone(client: Client, configure: Configure) -> None:
    configure(metrics_token=SecretStr("t0ken"))
    assert client.get("/metrics").status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer t0ken"})
    assert answer.status_code == 200
