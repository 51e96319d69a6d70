"""Every address, method and role against the table; nobody changes what another team owns."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.test import Client
from django.urls import URLPattern

from apps.accounts.access import GRANTS, Permission, Role
from apps.accounts.live import LivePage
from apps.accounts.models import User
from controlplane.websockets import websocket_urlpatterns
from tests.accounts import factories
from tests.architecture import access
from tests.architecture.access import WRITES, Key, Row, declared, guarded, needs, word
from tests.architecture.headers import faults
from tests.architecture.routes import Route
from tests.architecture.samples import Samples

pytestmark = pytest.mark.django_db
PROGRAMS = (Role.CI, Role.CLIENT)
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BACKEND = "django.contrib.auth.backends.ModelBackend"

# The service asks for more than the role at the door, whoever comes.
NARROWER = {
    "api-my-tokens": "people have tokens of their own; a program's are made on its page",
    "api-my-notices": "notices go to people",
}
# What an administrator of another team may do although the object is not theirs.
ANYBODYS = {
    "api-users": "people are of no team",
    "api-user-activate": "people are of no team",
    "api-user-deactivate": "people are of no team",
    "api-user-sign-out": "people are of no team",
    "person-add": "people are of no team",
    "person-act": "people are of no team",
    "api-teams": "whoever administers a team may make another",
    "team-add": "whoever administers a team may make another",
    "api-my-tokens": "their own",
    "my-tokens": "their own",
    "api-my-notices": "their own",
    "notice-preferences": "their own",
    "password": "their own",
    "confirm": "their own",
    "codes": "their own",
    "codes-off": "their own",
    "recovery-codes": "their own",
    "disconnect": "their own",
    "sign-out-elsewhere": "their own",
    "token-rotate": "asks for a fresh proof first",
    "service-account-tokens": "asks for a fresh proof first",
    "admin-password": "leads to one's own",
    "api-weights-preview": "computes and changes nothing",
}

# The form is read, and its faults shown, before the service asks whose object it is; tests of these
# pages and services show the refusal.
READ_FIRST = {
    "endpoint-policy",
    "freeze-add",
    "freeze-cancel",
    "api-cancel-freeze",
    "policy-set",
}
# MLflow's protocol: POSTs that only read, and addresses that answer where the rest is to be had.
MLFLOW_READS = {"mlflow-registered-models-get-latest-versions"}
MLFLOW_ELSEWHERE = "mlflow-elsewhere"
# Making the OpenAPI document takes seconds; another test reads it.
SLOW = {"schema", "api-docs"}


OURS = {"login", "logout", "password_change", "password_change_done"}


class Door:
    """Every kind of visitor, and what they are answered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.client.raise_request_exception = False
        self.bearers = {role: factories.bearer(role) for role in Role}
        self.windows: dict[Role, Client] = {}
        for role in Role:
            if role not in PROGRAMS:
                self.windows[role] = Client(raise_request_exception=False)
                self.windows[role].force_login(factories.user(role), backend=BACKEND)
        self.stranger = factories.user(Role.ADMIN, team_key="strangers")
        self.theirs = {"Authorization": f"Bearer {factories.token(self.stranger)[1]}"}
        self.tries_all = False
        self.loose: list[tuple[str, str]] = []
        self.window = Client(raise_request_exception=False)
        self.window.force_login(self.stranger, backend=BACKEND)

    def anonymous(self, route: Route, method: str) -> str:
        answer = ask(self.client, method, route.path, "{}", content_type=JSON)
        to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/sign-in/?next=")
        return "sign in" if to_sign_in else word(answer.status_code)

    def role(self, role: Role, route: Route, method: str) -> str:
        if route.is_api:
            headers = self.bearers[role]
            answer = ask(self.client, method, route.path, "{}", content_type=JSON, headers=headers)
        else:
            answer = ask(self.windows[role], method, route.path)
        return word(answer.status_code)

    def other_team(self, route: Route, method: str, samples: Samples) -> str:
        """What an administrator of another team is answered, asking for what is there."""
        path, unknown = samples.address(route)
        if method == "DELETE":
            path = f"{path}?{urlencode({'reason': 'the walls are tested'})}"
        if route.is_api:
            body = json.dumps(samples.body(route, method)) if method in WRITES else ""
            answer = ask(self.client, method, path, body, content_type=JSON, headers=self.theirs)
        elif method == "GET":
            answer = ask(self.window, method, path)
            if not path.startswith("/admin/"):
                self.loose += [(route.name, fault) for fault in faults(answer)]
        else:
            answer = ask(self.window, method, path, urlencode(samples.form()), content_type=FORM)
        said = word(answer.status_code)
        return f"? {' '.join(unknown)}" if unknown and said == "hidden" else said


def ask(client: Client, method: str, path: str, body: str = "", **options: Any) -> Any:
    """One request; a fault of ours is undone, so that it spoils no other."""
    before = transaction.savepoint()
    answer = client.generic(method, path, body, **options)
    if word(answer.status_code) == "error":
        transaction.set_rollback(False)
        transaction.savepoint_rollback(before)
    else:
        transaction.savepoint_commit(before)
    return answer


def methods(route: Route, door: Door) -> list[str]:
    """Of a page: those that it does not refuse as such."""
    if route.is_api:
        return route.methods()
    admin = door.windows[Role.ADMIN]
    tried = {method: ask(admin, method, route.path).status_code for method in ("GET", "POST")}
    return [method for method, status in tried.items() if status != 405]


@pytest.fixture
def door(client: Client) -> Door:
    return Door(client)


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.proof)], ids=["one", "all"])
def found(door: Door, request: pytest.FixtureRequest) -> dict[Key, Row]:
    """The whole table, as it is found now: by one role that may not, or by each of them."""
    door.tries_all = request.param
    samples, rows = Samples(), {}
    for route in guarded():
        assert not route.is_api or route.methods(), f"{route.name} is no REST view"
        for method in methods(route, door):
            rows[route.name, method] = _row(route, method, door, samples)
    access.keep(rows.values())
    return rows


def _row(route: Route, method: str, door: Door, samples: Samples) -> Row:
    permission = needs(route, method)
    people = [role for role in Role if route.is_api or role not in PROGRAMS]
    cells = {role: declared(role, permission) if role in people else "-" for role in Role}
    refused = [role for role in people if cells[role] == "no"]
    tried = refused if door.tries_all or not refused else [access.one_of(refused, route, method)]
    for role in tried:
        cells[role] = door.role(role, route, method)
    may = [role for role in people if permission in GRANTS[role]]
    sample = access.one_of(may, route, method)
    if route.name not in {*NARROWER, *SLOW}:
        assert door.role(sample, route, method) != "no", (route.name, method, sample)
    return {
        "route": route.name,
        "method": method,
        "needs": str(permission),
        "anonymous": door.anonymous(route, method),
        **{role.value: said for role, said in cells.items()},
        "stranger": "yes" if route.name in SLOW else door.other_team(route, method, samples),
    }


def test_access__each_address_and_method__answers_as_the_table_says(
    found: dict[Key, Row], door: Door
) -> None:
    assert door.loose == []
    kept = access.kept()
    changed = [(key, row, kept.get(key)) for key, row in found.items() if row != kept.get(key)]
    assert changed == [], f"{access.UPDATE}=1 writes the table"
    assert set(kept) == set(found)
    assert [key for key, row in found.items() if "error" in row.values()] == []
    assert {row["anonymous"] for row in found.values()} == {"sign in"}
    wrong = [
        (key, role)
        for key, row in found.items()
        for role in Role
        if row[role.value] not in ("-", declared(role, needs_of(row)))
    ]
    assert wrong == []
    trespasses = [
        key
        for key, row in found.items()
        if key[1] in WRITES
        and not kept_out(row)
        and key[0] not in {*ANYBODYS, *READ_FIRST, *MLFLOW_READS}
    ]
    assert trespasses == []


def kept_out(row: Row) -> bool:
    """Refused as somebody of another team; webhooks are not even shown to them."""
    hides = "webhook" in row["route"] or "delivery" in row["route"]
    if row["route"].startswith(MLFLOW_ELSEWHERE):
        return True
    return row["stranger"] == "no" or (hides and row["stranger"] == "hidden")


def needs_of(row: Row) -> Permission:
    return Permission(row["needs"])


def test_live_pages__each_route__asks_for_a_session_and_its_permission() -> None:
    for route in websocket_urlpatterns:
        consumer = route.callback.consumer_class
        assert issubclass(consumer, LivePage), route
        assert not {"connect", "may_see"} & set(vars(consumer)), route
        for role in Role:
            if role not in PROGRAMS:
                expected = consumer.permission in GRANTS[role]
                assert opens(consumer, factories.user(role)) == expected, (route, role)
        assert not opens(consumer, AnonymousUser())
        assert not opens(consumer, factories.user())
        assert not opens(consumer, factories.user(Role.ADMIN), signed_out=True)


def opens(
    consumer: type[LivePage], user: User | AnonymousUser, *, signed_out: bool = False
) -> bool:
    """Whether a socket of this person's session is let in."""
    client = Client()
    if isinstance(user, User):
        client.force_login(user, backend=BACKEND)
    session = client.session
    if signed_out:
        session.delete()
    page = consumer()
    page.scope = {"user": user, "session": session}
    return page.may_see()


def test_admin__each_page__for_administrators_alone(client: Client) -> None:
    scientist = Client()
    scientist.force_login(factories.user(Role.SCIENTIST), backend=BACKEND)
    pages = [one.replace("<path:object_id>", "1") for one in admin_pages()]
    assert len(pages) > 100
    for page in pages:
        answer = client.get(f"/admin/{page}")
        assert answer.status_code == 302, page
        assert "login" in answer["Location"] or "/sign-in/" in answer["Location"], page
        assert scientist.get(f"/admin/{page}", follow=True).status_code in (403, 404), page


def admin_pages() -> Iterator[str]:
    """Every address of the admin but those that pages of ours stand in for."""
    for entry in admin.site.urls[0]:
        if isinstance(entry, URLPattern):
            if entry.name not in OURS:
                yield str(entry.pattern)
            continue
        for inner in entry.url_patterns:
            yield f"{entry.pattern}{inner.pattern}"
