"""The same over our own REST API: aliases, names, descriptions, tags and deletion."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.events.models import Event
from tests.accounts import factories as accounts
from tests.registry.factories import make_model, make_version

pytestmark = pytest.mark.django_db
FLIGHTS = "/api/v1/models/flights"


@pytest.fixture
def api(ada: User) -> Client:
    make_version(model=make_model("flights"))
    return Client(headers={"Authorization": f"Bearer {accounts.token(ada)[1]}"})


def test_aliases__pointed_listed_and_taken_away__as_mlflows_clients_see_them(api: Client) -> None:
    put = api.put(f"{FLIGHTS}/aliases/candidate", {"version": "1"}, "application/json")
    assert put.json() | {"set_at": ""} == {
        "alias": "candidate",
        "version": "flights/1",
        "set_by": "user:ada",
        "set_at": "",
    }
    assert api.get(f"{FLIGHTS}/versions/1").json()["aliases"] == ["candidate"]
    assert len(api.get(f"{FLIGHTS}/aliases").json()["results"]) == 1
    assert api.delete(f"{FLIGHTS}/aliases/candidate").status_code == 204
    assert api.get(f"{FLIGHTS}/aliases").json()["results"] == []
    protected = api.put(f"{FLIGHTS}/aliases/champion", {"version": "1"}, "application/json")
    assert (protected.status_code, protected.json()["type"]) == (
        403,
        "urn:switchyard:problem:alias-protected",
    )


def test_version__described_then_deleted_with_a_reason__events_keep_both(api: Client) -> None:
    path = f"{FLIGHTS}/versions/1"
    changed = api.patch(path, {"description": "d", "tags": {"a": "b"}}, "application/json").json()
    assert (changed["description"], changed["tags"]) == ("d", {"a": "b"})
    assert api.delete(f"{path}?reason=mistake").status_code == 204
    assert api.get(path).status_code == 404
    told = Event.objects.for_object("version:flights/1")
    assert [(one.verb, one.reason) for one in told] == [
        ("version.deleted", "mistake"),
        ("version.updated", ""),
    ]
    assert told[1].before == {"description": "", "tags": {}}


def test_model__renamed_and_deleted__refused_in_problem_details_where_it_may_not(
    api: Client,
) -> None:
    renamed = api.post(f"{FLIGHTS}/rename", {"new_name": "My arrivals"}, "application/json")
    assert renamed.json()["name"] == "My arrivals"
    bad = api.post("/api/v1/models/My arrivals/rename", {"new_name": "a/b"}, "application/json")
    assert bad.json()["errors"][0]["path"] == "$.new_name"
    make_version(model=make_model("trains"), stage="staging")
    kept = api.delete("/api/v1/models/trains?reason=old")
    assert (kept.status_code, kept.json()["detail"]) == (
        409,
        "model trains cannot be deleted: v1 is in staging: archive it first",
    )
    assert api.delete("/api/v1/models/My arrivals?reason=old").status_code == 204
    assert api.get("/api/v1/models/My arrivals").status_code == 404
