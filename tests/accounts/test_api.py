"""REST of accounts."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.models import ServiceAccount, Token
from apps.accounts.principals import of_token
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db
TOMORROW = (timezone.now() + timedelta(days=1)).isoformat()


def post(client: Client, path: str, body: Any, headers: dict[str, str]) -> Any:
    return client.post(f"/api/v1{path}", body, content_type="application/json", headers=headers)


def test_me__token_of_scientist__says_roles_and_permissions(client: Client) -> None:
    answer = client.get("/api/v1/me", headers=factories.bearer(Role.SCIENTIST)).json()
    assert answer["roles"] == {"flights": ["scientist"]}
    assert "deploy" in answer["permissions"]["flights"]
    assert "approve" not in answer["permissions"]["flights"]


def test_me__no_credentials__401_problem_with_challenge(client: Client) -> None:
    answer = client.get("/api/v1/me")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:switchyard:problem:not-signed-in"


@pytest.mark.parametrize("text", ["swy_wrong", "", "x" * 5000])
def test_me__wrong_token__401(client: Client, text: str) -> None:
    answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


def test_teams__created_by_scientist__403_problem_says_why(client: Client) -> None:
    body = {"key": "fraud", "name": "Fraud"}
    answer = post(client, "/teams", body, factories.bearer(Role.SCIENTIST))
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:switchyard:problem:permission-denied"
    assert "administer" in answer.json()["detail"]


def test_teams__created_by_admin__listed(client: Client) -> None:
    headers = factories.bearer(Role.ADMIN)
    assert post(client, "/teams", {"key": "fraud", "name": "Fraud"}, headers).status_code == 201
    keys = [team["key"] for team in client.get("/api/v1/teams", headers=headers).json()["results"]]
    assert set(keys) == {"flights", "fraud"}


def test_teams__key_missing__400_names_the_path(client: Client) -> None:
    answer = post(client, "/teams", {"name": "Fraud"}, factories.bearer(Role.ADMIN))
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"path": "$.key", "detail": "This field is required."}]


def test_members__added_and_removed__change_what_they_may_do(client: Client) -> None:
    headers = factories.bearer(Role.ADMIN)
    user = factories.user(username="ada")
    body = {"username": "ada", "role": "approver", "reason": "joins"}
    assert post(client, "/teams/flights/members", body, headers).status_code == 201
    assert user.memberships.get().role == "approver"
    path = "/api/v1/teams/flights/members/ada/approver"
    assert client.delete(path, headers=headers).json()["errors"][0]["path"] == "$.reason"
    assert client.delete(f"{path}?reason=leaves", headers=headers).status_code == 204
    assert Event.objects.get(verb="membership.removed").reason == "leaves"
    assert not user.memberships.exists()


def test_users__created__password_in_no_answer_and_no_event(client: Client) -> None:
    body = {"username": "ada", "password": "correct horse battery staple"}
    answer = post(client, "/users", body, factories.bearer(Role.ADMIN))
    assert answer.status_code == 201
    assert "correct horse" not in answer.content.decode()
    assert "correct horse" not in str(list(Event.objects.values()))


def test_users__deactivated__cannot_use_their_token(client: Client) -> None:
    user = factories.user(Role.SCIENTIST, username="ada")
    _, text = factories.token(user)
    post(client, "/users/ada/deactivate", {"reason": "left"}, factories.bearer(Role.ADMIN))
    answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


def test_service_accounts__created__has_a_responsible_human(client: Client) -> None:
    factories.user(Role.OPERATOR, username="omar")
    body = {"name": "desk", "team": "flights", "role": "client", "responsible": "omar"}
    answer = post(client, "/service-accounts", body, factories.bearer(Role.ADMIN))
    assert answer.status_code == 201
    assert answer.json()["permissions"] == ["predict"]
    assert ServiceAccount.objects.get(name="desk").responsible.username == "omar"


def test_service_accounts__approver_role__400(client: Client) -> None:
    factories.user(Role.OPERATOR, username="omar")
    body = {"name": "robot", "team": "flights", "role": "approver", "responsible": "omar"}
    answer = post(client, "/service-accounts", body, factories.bearer(Role.ADMIN))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "$.role"


def test_service_account_tokens__issued__text_in_this_answer_only(client: Client) -> None:
    account, headers = factories.service_account(), factories.bearer(Role.ADMIN)
    body = {"name": "pipeline", "scopes": ["view"], "expires_at": TOMORROW}
    issued = post(client, f"/service-accounts/{account.name}/tokens", body, headers)
    assert issued.status_code == 201
    assert issued["Cache-Control"] == "no-store"
    text = issued.json()["token"]
    assert of_token(text, now=timezone.now()).key == account.key
    listed = client.get(f"/api/v1/service-accounts/{account.name}/tokens", headers=headers)
    assert text not in listed.content.decode()


def test_service_account_tokens__by_stranger__403(client: Client) -> None:
    account = factories.service_account()
    body = {"name": "mine", "expires_at": TOMORROW}
    path = f"/service-accounts/{account.name}/tokens"
    assert post(client, path, body, factories.bearer(Role.SCIENTIST)).status_code == 403


def test_service_account__disabled_and_enabled__token_follows(client: Client) -> None:
    account, headers = factories.service_account(), factories.bearer(Role.ADMIN)
    bearer = {"Authorization": f"Bearer {factories.token(account)[1]}"}
    for action, expected in (("disable", 401), ("enable", 200)):
        path = f"/service-accounts/{account.name}/{action}"
        assert post(client, path, {"reason": "drill"}, headers).status_code == 200
        assert client.get("/api/v1/me", headers=bearer).status_code == expected


def test_my_tokens__program_asks__403(client: Client) -> None:
    answer = client.get("/api/v1/me/tokens", headers=factories.bearer(Role.CI))
    assert answer.status_code == 403


def test_tokens__rotated__new_text_and_old_one_ends(client: Client) -> None:
    token, old = factories.token(factories.user(Role.SCIENTIST))
    headers = {"Authorization": f"Bearer {old}"}
    answer = post(
        client, f"/tokens/{token.pk}/rotate", {"expires_at": TOMORROW, "reason": "due"}, headers
    )
    assert answer.status_code == 201
    assert client.get("/api/v1/me", headers=headers).status_code == 401
    fresh = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert client.get("/api/v1/me", headers=fresh).status_code == 200


def test_tokens__revoked__works_no_longer(client: Client) -> None:
    token, text = factories.token(factories.user(Role.SCIENTIST))
    path, admin = f"/api/v1/tokens/{token.pk}", factories.bearer(Role.ADMIN)
    assert client.delete(path, headers=admin).status_code == 400
    body, kind = {"reason": "leaked"}, "application/json"
    assert client.delete(path, body, content_type=kind, headers=admin).status_code == 204
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get("/api/v1/me", headers=headers).status_code == 401


def test_tokens__of_somebody_else__cannot_be_ended(client: Client) -> None:
    token, _ = factories.token(factories.user(Role.SCIENTIST))
    path = f"/api/v1/tokens/{token.pk}?reason=mine"
    answer = client.delete(path, headers=factories.bearer(Role.OPERATOR))
    assert answer.status_code == 403
    assert Token.objects.filter(pk=token.pk, revoked_at__isnull=True).exists()


def test_scoped_token__beyond_its_scopes__403(client: Client) -> None:
    _, text = factories.token(factories.user(Role.ADMIN), scopes=["view"])
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get("/api/v1/me", headers=headers).status_code == 200
    assert post(client, "/teams", {"key": "x", "name": "X"}, headers).status_code == 403


def test_session__unsafe_method_without_csrf_token__403() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(
        factories.user(Role.ADMIN), backend="django.contrib.auth.backends.ModelBackend"
    )
    answer = strict.post(
        "/api/v1/teams", {"key": "x", "name": "X"}, content_type="application/json"
    )
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["detail"]


def test_teams__unknown_field__400_names_it(client: Client) -> None:
    body = {"key": "fraud", "name": "Fraud", "nmae": "typo"}
    answer = post(client, "/teams", body, factories.bearer(Role.ADMIN))
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"path": "$.nmae", "detail": "unknown field"}]


def test_teams__method_that_there_is_not__405_problem(client: Client) -> None:
    answer = client.delete("/api/v1/teams", headers=factories.bearer(Role.ADMIN))
    assert answer.status_code == 405
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:switchyard:problem:method-not-allowed"


@pytest.mark.parametrize("body", [b"{", b"", b"[1,", b"\xff\xfe", b'"text"'])
def test_teams__body_that_is_no_json_object__400_problem(client: Client, body: bytes) -> None:
    headers = factories.bearer(Role.ADMIN)
    answer = client.generic(
        "POST", "/api/v1/teams", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_teams__body_over_the_limit__413_problem(client: Client) -> None:
    body = b'{"key": "x", "name": "' + b"x" * 3_000_000 + b'"}'
    headers = factories.bearer(Role.ADMIN)
    answer = client.generic(
        "POST", "/api/v1/teams", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 413
    assert answer["Content-Type"] == "application/problem+json"


def test_teams__another_content_type__415_problem(client: Client) -> None:
    headers = factories.bearer(Role.ADMIN)
    answer = client.post("/api/v1/teams", {"key": "x"}, headers=headers)
    assert answer.status_code == 415


def test_service_account__limits_patched__the_rest_stays(client: Client) -> None:
    account = factories.service_account(Role.CLIENT, requests_per_second=10.0, tier="gold")
    path, headers = f"/api/v1/service-accounts/{account.name}", factories.bearer(Role.ADMIN)

    def patch(body: dict[str, Any]) -> Any:
        return client.patch(path, body, content_type="application/json", headers=headers)

    shown = patch({"burst": 30, "reason": "noon batch"}).json()
    assert (shown["requests_per_second"], shown["burst"], shown["tier"]) == (10.0, 30, "gold")
    refused = patch({"requests_per_second": 0, "reason": "no limit"})
    assert refused.json()["errors"][0]["path"] == "$.burst"
    assert patch({"burst": 1}).json()["errors"][0]["path"] == "$.reason"
