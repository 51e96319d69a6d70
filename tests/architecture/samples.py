"""Objects of the team flights, and the address and input that reach each of them."""

import re
from typing import Any
from uuid import UUID

from drf_spectacular.generators import SchemaGenerator

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.deployments.models import Deployment, Rollout
from apps.events.models import Event
from apps.experiments.models import Experiment
from apps.mirror.models import Difference
from apps.notices.models import Webhook
from apps.registry.models import CheckHook, FreezeWindow, PromotionRequest
from apps.routing.models import Generation
from tests.accounts import factories
from tests.architecture.crowd import Crowd
from tests.architecture.routes import Route
from tests.mirror.factories import make_difference

# Input of which the documents' examples name something that is not here.
BODIES: dict[str, dict[str, Any]] = {
    "api-weights": {
        "expected_revision": 1,
        "weights": [{"variant": "stable", "role": "stable", "version": "1", "weight": 10_000}],
        "reason": "the walls are tested",
    },
    "api-weights-preview": {
        "weights": [{"variant": "stable", "role": "stable", "version": "1", "weight": 10_000}],
    },
    "api-webhook-test": {},
    "api-alias": {"version": "1"},
    "mlflow-model-versions-transition-stage": {
        "stage": "Archived",
        "archive_existing_versions": False,
    },
    "api-endpoint-rollouts": {"candidate": "1", "reason": "the walls are tested"},
}
NAMED = ("responsible", "username")
# What a form of ours may ask for; a view reads the fields that it knows.
FORM = {
    "reason": "the walls are tested",
    "role": "readonly",
    "name": "new",
    "key": "new",
    "days": "7",
    "overlap_s": "0",
    "note": "new",
    "stage": "production",
    "phase": "1",
    "expected_revision": "1",
    "text": "new",
    "after": "0",
    "tier": "standard",
}


class Samples:
    """One of each kind, all of team flights."""

    def __init__(self) -> None:
        crowd = Crowd()
        crowd.add(1)
        self.member: User = factories.user(Role.SCIENTIST)
        self.program = factories.service_account(Role.CI)
        self.token = factories.token(self.program)[0]
        self.webhook = Webhook.objects.create(
            team=self.program.team, url="https://flights.example/", secret=b"", created_by_key="x"
        )
        self.delivery = self.webhook.deliveries.create(verb="model.registered", body="{}")
        version = crowd.versions[0]
        self.difference: Difference = make_difference(version)
        promotion = PromotionRequest.objects.filter(version=version, state="requested").earliest(
            "id"
        )
        self.comment = promotion.comments.create(author_key="x", author="x", body="x")
        self.hook = CheckHook.objects.create(
            name="probe",
            team=self.program.team,
            title="x",
            url="https://flights.example/",
            secret=b"",
            created_by="x",
        )
        freeze = FreezeWindow.objects.create(
            team=self.program.team,
            title="x",
            window={"type": "weekly", "days": [6], "start": "00:00", "end": "00:00"},
            zone="UTC",
            reason="x",
            created_by="x",
        )
        self.by_name: dict[str, Any] = {
            "alias": "challenger",
            "freeze_id": freeze.pk,
            "comment_id": self.comment.pk,
            "model": "flights",
            "version": version.number,
            "ref": version.number,
            "username": self.member.username,
            "role": "scientist",
            "promotion_id": promotion.pk,
            "validation_id": version.validations.earliest("id").pk,
            "rollout_id": Rollout.objects.earliest("id").pk,
            "experiment_id": Experiment.objects.earliest("id").pk,
            "deployment_id": Deployment.objects.earliest("id").pk,
            "number": Generation.objects.latest("id").number,
            "key": "flights",
        }
        self.by_place: dict[tuple[str, str], Any] = {
            ("models", "name"): "flights",
            ("endpoints", "name"): "flights",
            ("service-accounts", "name"): self.program.name,
            ("tokens", "pk"): self.token.pk,
            ("webhooks", "pk"): self.webhook.pk,
            ("webhooks/deliveries", "pk"): self.delivery.pk,
            ("webhook-deliveries", "pk"): self.delivery.pk,
            ("mirrors", "pk"): self.difference.mirrored.mirror_id,
            ("mirrors/differences", "pk"): self.difference.pk,
            ("mirror-differences", "pk"): self.difference.pk,
            ("audit", "event_id"): Event.objects.latest("id").pk,
            ("models", "tab"): "history",
            ("check-hooks", "name"): self.hook.name,
            ("people", "act"): "deactivate",
            ("service-accounts", "act"): "disable",
        }
        self.examples = _examples()

    def address(self, route: Route) -> tuple[str, list[str]]:
        """The route's address for these objects, and the parameters that none of them fits."""
        unknown: list[str] = []
        folders = route.pattern.lstrip("^").removeprefix("api/v1/").partition("<")[0].strip("/")
        place = folders if (folders, "pk") in self.by_place else folders.partition("/")[0]

        def fill(found: "re.Match[str]") -> str:
            name = found["name"] or found["group"]
            value = self.by_place.get((place, name), self.by_name.get(name))
            if value is None:
                choice = re.match(r"\w+(?=\|)", found["choices"] or "")
                value = choice[0] if choice else None
            if value is None:
                unknown.append(name)
                value = UUID(int=0) if "uuid" in found[0] else 1
            return str(value)

        parameter = r"<(?:\w+:)?(?P<name>\w+)>|\(\?P<(?P<group>\w+)>(?P<choices>[^()]*)\)"
        return "/" + re.sub(parameter, fill, route.pattern).strip("^$"), unknown

    def body(self, route: Route, method: str) -> dict[str, Any]:
        """What the OpenAPI document shows as an example, else a reason."""
        path = re.sub(r"<[^>]*>", "{}", f"/{route.pattern}")
        path = re.sub(r"^/v1/", "/api/v1/", path)
        found = self.examples.get((path, method.lower()), {"reason": FORM["reason"]})
        found = {**found, **own} if (own := BODIES.get(route.name, found)) else {}
        return found | {name: self.member.username for name in NAMED if name in found}

    def form(self) -> dict[str, Any]:
        """The fields of every form, with names that are there."""
        people = {"username": self.member.username, "responsible": self.member.username}
        return {**FORM, **people, "team": "flights", "password": "a long one, quite long"}


def _examples() -> dict[tuple[str, str], dict[str, Any]]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]  # ships no types here
    document: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]  # nor here
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for example in content.get("examples", {}).values():
                    found.setdefault((re.sub(r"{[^}]*}", "{}", path), method), example["value"])
    return found
