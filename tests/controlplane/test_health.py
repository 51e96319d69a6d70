"""Probes and figures of the web process."""

import pytest
from django.conf import settings
from django.test import Client
from pydantic import SecretStr

from apps.events.models import Cursor


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = settings.CONFIG.model_copy(update={"metrics_token": None})
    monkeypatch.setattr(settings, "CONFIG", changed)


def test_healthz__nobody_signed_in__ok(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_readyz__services_there__200(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"database": "ok", "redis": "ok"})


@pytest.mark.django_db
def test_readyz__redis_away__still_200_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
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
def test_metrics__from_elsewhere__403(client: Client, extra: dict[str, str]) -> None:
    assert client.get("/metrics", **extra).status_code == 403  # type: ignore[arg-type]  # WSGI environment


@pytest.mark.django_db
def test_metrics__token_set__opens_to_it_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = settings.CONFIG.model_copy(update={"metrics_token": SecretStr("t0ken")})
    monkeypatch.setattr(settings, "CONFIG", changed)
    assert client.get("/metrics").status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer t0ken"})
    assert answer.status_code == 200
