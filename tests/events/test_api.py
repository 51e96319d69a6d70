"""REST of the event log: who sees what, filters, pages and the export."""

import csv
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.events import chain
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db
Add = Callable[..., Event]


@pytest.fixture
def reader() -> dict[str, str]:
    return factories.bearer(Role.READ_ONLY)


def objects(client: Client, headers: dict[str, str], query: str = "verb=thing.*") -> list[str]:
    answer = client.get(f"/api/v1/events?{query}", headers=headers)
    assert answer.status_code == 200, answer.content
    return [event["object_key"] for event in answer.json()["results"]]


def test_events__no_credentials__401(client: Client) -> None:
    assert client.get("/api/v1/events").status_code == 401
    assert client.get("/api/v1/events.csv").status_code == 401


def test_events__client_of_data_plane__403(client: Client) -> None:
    headers = factories.bearer(Role.CLIENT)
    assert client.get("/api/v1/events", headers=headers).status_code == 403


def test_events__member__sees_own_team_and_team_less(
    client: Client, reader: dict[str, str], add: Add
) -> None:
    for key, team in (("a", "flights"), ("b", "fraud"), ("c", "")):
        add(object_key=key, team_key=team)
    assert objects(client, reader) == ["c", "a"]


def test_events__admin__sees_all(client: Client, add: Add) -> None:
    add(object_key="b", team_key="fraud")
    assert objects(client, factories.bearer(Role.ADMIN)) == ["b"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("object=x:1&verb=thing.*", ["x:1"]),
        ("verb=thing.made", ["x:2"]),
        ("actor=user:ada&verb=thing.*", ["x:2", "x:1"]),
        ("actor=user:eve", []),
        ("team=flights&verb=thing.*", ["x:2"]),
        ("verb=thing.*&page_size=1", ["x:2"]),
    ],
)
def test_events__filter__only_what_fits(
    client: Client, reader: dict[str, str], add: Add, query: str, expected: list[str]
) -> None:
    add(object_key="x:1")
    add("thing.made", object_key="x:2", team_key="flights")
    assert objects(client, reader, query) == expected


def test_events__since_and_until__half_open(
    client: Client, reader: dict[str, str], add: Add
) -> None:
    event = add()
    event.refresh_from_db()
    at = event.occurred_at
    later = at + timedelta(seconds=1)
    stamp = at.isoformat().replace("+00:00", "Z")
    assert objects(client, reader, f"verb=thing.*&since={stamp}") == ["thing:1"]
    assert objects(client, reader, f"verb=thing.*&until={stamp}") == []
    assert objects(client, reader, f"verb=thing.*&since={later:%Y-%m-%dT%H:%M:%SZ}") == []


def test_events__bad_instant__400_names_it(client: Client, reader: dict[str, str]) -> None:
    answer = client.get("/api/v1/events?since=yesterday", headers=reader)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "$.since"


def test_events__pages__every_event_once(client: Client, reader: dict[str, str], add: Add) -> None:
    for number in range(5):
        add(object_key=f"x:{number}")
    seen: list[str] = []
    url = "/api/v1/events?verb=thing.*&page_size=2"
    while url:
        page: dict[str, Any] = client.get(url, headers=reader).json()
        seen += [event["object_key"] for event in page["results"]]
        url = page["next"]
    assert seen == [f"x:{number}" for number in reversed(range(5))]


def test_events__chained__shows_its_number(
    client: Client, reader: dict[str, str], add: Add
) -> None:
    add()
    url = "/api/v1/events?verb=thing.*"
    assert client.get(url, headers=reader).json()["results"][0]["seq"] is None
    chain.append_committed()
    assert client.get(url, headers=reader).json()["results"][0]["seq"] == chain.head().seq


def test_export__formula_in_reason__is_no_formula(
    client: Client, reader: dict[str, str], add: Add
) -> None:
    add(reason='=HYPERLINK("http://evil.example")')
    answer = client.get("/api/v1/events.csv?verb=thing.*", headers=reader)
    assert answer["Content-Type"].startswith("text/csv")
    (row,) = csv.DictReader(StringIO(answer.getvalue().decode()))
    assert row["reason"].startswith("'=")


def test_export__team_of_others__left_out(client: Client, reader: dict[str, str], add: Add) -> None:
    add(object_key="secret:1", team_key="fraud")
    answer = client.get("/api/v1/events.csv", headers=reader)
    assert "secret:1" not in answer.getvalue().decode()


def test_event__recorded_in_a_request__carries_its_id(client: Client) -> None:
    headers = {**factories.bearer(Role.ADMIN), "X-Request-ID": "abc-123"}
    body = {"key": "fraud", "name": "Fraud"}
    client.post("/api/v1/teams", body, content_type="application/json", headers=headers)
    assert Event.objects.get(object_key="team:fraud").correlation_id == "abc-123"
