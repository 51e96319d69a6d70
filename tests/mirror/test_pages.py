"""A mirror's pages and REST: what they say, whom they let do what, what they refuse."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.mirror import services
from apps.mirror.errors import CannotRevert, DifferenceEnded, MlflowUnavailable
from apps.mirror.models import Difference, Mirror, MirroredModel, MirroredVersion
from apps.registry.models import ModelVersion
from tests.accounts import factories as accounts
from tests.architecture.queries import query_baseline
from tests.conftest import Configure
from tests.mirror.factories import make_difference, make_mirror
from tests.registry.factories import make_user, make_version, person, scientist

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def headers(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {accounts.token(user)[1]}"}


def post(client: Client, path: str, user: User, **given: Any) -> Any:
    return client.post(
        f"/api/v1/{path}", given, content_type="application/json", headers=headers(user)
    )


def test_pages__thirty_times_the_rows__same_number_of_queries(client: Client) -> None:
    version = make_version()
    client.force_login(make_user("ida", Role.ADMIN), backend=BACKEND)
    for more in (1, 29):
        for number in range(more):
            difference = make_difference(version, alias=f"alias-{more}-{number}")
            MirroredModel.objects.create(
                mirror=difference.mirrored.mirror, name=f"{more}-{number}", problem="taken"
            )
        address = f"/mirrors/{difference.mirrored.mirror_id}/"
        for name, path in {"/mirrors/": "/mirrors/", "/mirrors/{id}/": address}.items():
            with query_baseline(f"GET {name}"):
                assert client.get(path).status_code == 200


def test_mirror__by_its_page__made_changed_and_taken_away(client: Client) -> None:
    client.force_login(make_user("ida", Role.ADMIN), backend=BACKEND)
    made = client.post("/mirrors/new", {"team": "ops", "title": "ours", "writes_back": "1"})
    assert b"whsec_" in made.content
    mirror = Mirror.objects.get()
    for word in ("poll", "pause", "resume", "delete"):
        answer = client.post(f"/mirrors/{mirror.pk}/{word}", {"reason": "because"})
        assert answer.status_code == 302
    assert not Mirror.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tracking_uri": "http://169.254.169.254"}, "tracking_uri"),
        ({"tracking_uri": "file:///etc"}, "tracking_uri"),
        ({"credentials": {"username": "ada"}}, "credentials"),
        ({"tier": "golden"}, "tier"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_api__bad_input__named(client: Client, given: dict[str, Any], field: str) -> None:
    answer = post(client, "mirrors", make_user("ida", Role.ADMIN), team="ops", **given)
    assert answer.status_code in (400, 422), answer.content
    assert field in answer.content.decode()
    assert not Mirror.objects.exists()


def test_api__credentials__are_kept_sealed_and_never_shown(client: Client) -> None:
    ida = make_user("ida", Role.ADMIN)
    given = {"credentials": {"token": "a-token-of-ours"}}
    made = post(client, "mirrors", ida, team="ops", **given)
    assert made.status_code == 201
    assert b"a-token-of-ours" not in made.content
    mirror = Mirror.objects.get()
    assert b"a-token-of-ours" not in bytes(mirror.credentials or b"")
    change = {"writes_back": False, "reason": "the registry moves", "credentials": {}}
    answer = client.patch(
        f"/api/v1/mirrors/{mirror.pk}", change, "application/json", headers=headers(ida)
    )
    assert (answer.json()["writes_back"], answer.json()["has_credentials"]) == (False, False)


def test_difference__on_the_versions_page__and_let_stand(client: Client) -> None:
    version = make_version()
    difference = make_difference(version)
    make_mirror()
    client.force_login(make_user("ada", Role.SCIENTIST), backend=BACKEND)
    page = client.get(f"/models/{version.model.name}/versions/{version.number}/")
    assert b"Alias champion was moved in MLflow" in page.content
    accepted = client.post(f"/mirrors/differences/{difference.pk}/accept", {"reason": "agreed"})
    assert accepted.status_code == 302
    mirrored = MirroredModel.objects.get(pk=difference.mirrored_id)
    assert mirrored.accepted_aliases == {"champion": "2"}
    assert ModelVersion.objects.get().aliases.count() == 0
    with pytest.raises(DifferenceEnded):
        services.accept(actor=scientist(), difference=difference, reason="again")


def test_difference__mlflow_away__stays_open(free_port: int, configure: Configure) -> None:
    difference = make_difference(make_version())
    mirror = make_mirror(tracking_uri="")
    Mirror.objects.filter(pk=mirror.pk).delete()
    address = f"http://127.0.0.1:{free_port}"
    configure(mlflow_tracking_uri=address)
    Mirror.objects.update(tracking_uri=address)
    difference.refresh_from_db()
    with pytest.raises(MlflowUnavailable):
        services.revert(actor=scientist(), difference=_again(difference), reason="no")
    assert Difference.objects.open().count() == 1
    Mirror.objects.update(due_at=mirror.created_at)
    assert not services.sweep(mirror_id=difference.mirrored.mirror_id)
    waiting = Mirror.objects.get()
    assert (waiting.failures, waiting.due_at > mirror.created_at) == (1, True)
    assert "does not answer" in waiting.error


def test_sweep__an_address_that_became_private__is_refused_when_it_is_called() -> None:
    """Judged again at every connection: what a name meant when it was typed in proves nothing."""
    mirror = make_mirror()
    Mirror.objects.update(tracking_uri="http://127.0.0.2:9")
    assert not services.sweep(mirror_id=mirror.pk)
    assert "not a public address" in Mirror.objects.get().error


def test_difference__converted_artifact__cannot_be_put_back() -> None:
    version = make_version(conversion={"source": {"path": "model.pkl", "sha256": "ab"}})
    difference = make_difference(version)
    Difference.objects.update(kind="artifact_changed", subject="1", found={"digest": "x"})
    with pytest.raises(CannotRevert):
        services.revert(actor=scientist(), difference=_again(difference), reason="no")


def test_owe__any_mirror_that_writes_back__once_per_event() -> None:
    version = make_version()
    difference = make_difference(version)
    MirroredModel.objects.update(unwritten_at=None)
    for _ in range(2):
        assert services.owe(object_key=version.key, occurred_at=difference.found_at) == 1
    row = MirroredVersion.objects.get()
    assert row.unwritten_at == MirroredModel.objects.get().unwritten_at == difference.found_at
    Mirror.objects.update(writes_back=False)
    assert services.owe(object_key=version.model.key, occurred_at=difference.found_at) == 0


def test_decisions__of_readers__refused(client: Client) -> None:
    difference = make_difference(make_version())
    reader = person("rob", Role.READ_ONLY)
    assert reader.key == "user:rob"
    path = f"mirror-differences/{difference.pk}/accept"
    assert post(client, path, make_user("rob"), reason="mine").status_code == 403


def _again(difference: Difference) -> Difference:
    rows = Difference.objects.select_related("mirrored__mirror__team", "mirrored_version__version")
    return rows.get(pk=difference.pk)
