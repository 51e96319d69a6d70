"""Rows of every kind that pages and lists show, one or thirty of each, with long texts."""

from dataclasses import asdict
from datetime import timedelta

from django.utils import timezone

from apps.deployments.analysis import Conditions, Metric, Outcome
from apps.deployments.models import Deployment, Rollout, Target, Verdict
from apps.deployments.rollout import Step
from apps.events.models import Event
from apps.experiments.models import Experiment
from apps.monitoring.models import ExposureRow
from apps.registry.models import (
    CardEdition,
    FreezeWindow,
    ModelAlias,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
)
from apps.routing.models import GatewayReport, Generation, Override
from tests.deployments.ramps import ingest
from tests.monitoring.factories import counter, outcome, record
from tests.registry.factories import make_model, make_validation, make_version, scientist
from tests.routing.factories import deployed, make_endpoint, operator, route, stable

REASON = "because the figures of the last weeks say so, and nobody minds; " * 30
NAME = "a-name-that-somebody-chose-without-thinking-of-lists"
STEPS = [asdict(Step(weight=500, hold_s=60)), asdict(Step(weight=10_000, hold_s=60))]


VERSION_TABS = (
    *("evidence", "metrics", "schema", "lineage", "explain", "deployments", "card", "history"),
)


class Crowd:
    """A model, its endpoint with a rollout and an experiment, and more of each kind on demand."""

    def __init__(self) -> None:
        self.model = make_model("flights")
        self.versions: list[ModelVersion] = [deployed(1)]
        self.endpoint = make_endpoint()
        route(self.endpoint, stable(self.versions[0]))
        self.endpoint.refresh_from_db()
        self.target = Target.objects.create(name="here")
        self.count = 0

    def add(self, count: int) -> None:
        """`count` more of everything."""
        for number in range(self.count, self.count + count):
            self._registry(number)
            self._routing(number)
            self._deployments(number)
            self._experiments(number)
        self._traffic(count)
        self.count += count

    def _registry(self, number: int) -> None:
        make_model(f"{NAME}-{number}")
        self._words(number)
        version = make_version(
            model=RegisteredModel.objects.get(pk=self.model.pk),
            number=number + 2,
            semantic_version=f"{number}.0.0",
            metrics={f"{NAME}_{number}": 0.5, "accuracy": 0.8},
        )
        self.versions.append(version)
        # The newest version's and the first one's, so that detail pages grow as well.
        for one in (version, self.versions[0]):
            validation = make_validation(one)
            StageTransition.objects.create(
                version=one,
                from_stage="staging",
                to_stage="production",
                digest=validation.digest,
                request=self._promotion(one),
                actor_key="user:grace",
                reason=REASON,
                occurred_at=timezone.now(),
            )

    def _words(self, number: int) -> None:
        """Aliases, editions of the card, and freezes."""
        alias = {"model": self.model, "version": self.versions[0], "set_by": "user:ada"}
        ModelAlias.objects.create(name=f"alias-{number}", **alias)
        CardEdition.objects.create(
            model=self.model, number=number + 1, text=REASON, reason=REASON, written_by="user:ada"
        )
        FreezeWindow.objects.create(
            title=NAME,
            window={"type": "weekly", "days": [6], "start": "00:00", "end": "00:00"},
            zone="UTC",
            reason=REASON,
            created_by="user:ida",
            cancelled_at=timezone.now() if number % 2 else None,
        )

    def _promotion(self, version: ModelVersion) -> PromotionRequest:
        known = PromotionRequest.objects.filter(version=version, state="requested").exists()
        return PromotionRequest.objects.create(
            version=version,
            target_stage="staging",
            state="rejected" if known else "requested",
            digest=version.content_digest(),
            evidence={"checks": [{"name": NAME, "verdict": "pass", "detail": REASON}]},
            evidence_digest=version.content_digest(),
            reason=REASON,
            requested_by_key=scientist().key,
            requester=scientist().key,
            expires_at=timezone.now() + timedelta(days=1),
        )

    def _routing(self, number: int) -> None:
        for endpoint in (self.endpoint, make_endpoint(f"{NAME}-{number}")):
            generation = route(endpoint, stable(self.versions[0]), reason=REASON)
            Override.objects.create(
                gateway=f"{NAME}-{number}",
                endpoint=endpoint,
                rollout_key=f"rollout:{endpoint.name}-{number}",
                variant="canary",
                evidence={"failures": 12},
                withdrawn_at=timezone.now(),
            )
        GatewayReport.objects.create(
            gateway=f"{NAME}-{number}",
            epoch=generation.epoch,
            generation=generation.number,
            source="redis",
            started_at=timezone.now(),
            reported_at=timezone.now(),
        )

    def _deployments(self, number: int) -> None:
        now = timezone.now()
        for version in (self.versions[0], self.versions[-1]):
            Deployment.objects.create(
                version=version,
                target=self.target,
                state="failed",
                entry=f"{NAME}-v{number}",
                endpoint_name=self.endpoint.name,
                error=REASON,
                created_by=operator().key,
                state_entered_at=now,
            )
        rollout = Rollout.objects.create(
            endpoint=self.endpoint,
            candidate=self.versions[-1],
            baseline=self.versions[0],
            baseline_phase=1,
            state="rolled_back" if number else "paused",
            steps=STEPS,
            conditions=asdict(Conditions()),
            step_index=0,
            reason=REASON,
            created_by=operator().key,
            started_at=now,
            step_started_at=now,
            state_entered_at=now,
            ended_at=now if number else None,
        )
        first = Rollout.objects.earliest("id")
        for one in {rollout.pk: rollout, first.pk: first}.values():
            Verdict.objects.create(
                rollout=one,
                step_index=0,
                metric=Metric.ERRORS.value,
                verdict=Outcome.PASS.value,
                sentence=REASON[:200],
                at=now,
            )

    def _experiments(self, number: int) -> None:
        made = Experiment.objects.create(
            name=f"{NAME} {number}",
            endpoint=self.endpoint,
            hypothesis=REASON,
            created_by="user:anna",
        )
        made.arms.create(key="control", version=self.versions[0], weight=5_000, is_control=True)
        first = Experiment.objects.earliest("id")
        if first.arms.count() < len(self.versions):
            first.arms.create(key=f"arm-{number}", version=self.versions[-1], weight=1)
        ExposureRow.objects.create(
            endpoint=self.endpoint.name,
            phase=1,
            unit=f"unit-{number}",
            variant="control",
            version_key=self.versions[0].version_key,
            experiment_key=first.key,
            first_at=timezone.now(),
        )

    def _traffic(self, count: int) -> None:
        """A second of traffic by as many variants, and truths of as many predictions."""
        at, names = timezone.now().timestamp(), [f"variant-{number}" for number in range(count)]
        version = self.versions[0].version_key
        counters = [counter([5.0], second=int(at), variant=name, version=version) for name in names]
        records = [record(variant=name, version=version, at=at) for name in names]
        outcomes = [outcome(one.prediction_id, at=at) for one in records]
        ingest(counters=tuple(counters), records=tuple(records), outcomes=tuple(outcomes))

    def pages(self) -> list[str]:
        """Addresses of every page that shows these rows."""
        version = f"/models/flights/versions/{self.versions[0].number}/"
        promotion = PromotionRequest.objects.filter(version=self.versions[0]).earliest("id")
        return [
            "/",
            "/search?q=a-name",
            "/models/",
            "/models/flights/",
            version,
            *(f"{version}{tab}/" for tab in VERSION_TABS),
            "/models/flights/edit",
            "/models/flights/card",
            "/models/flights/card/edit",
            "/models/flights/compare?left=1&right=2",
            "/models/flights/history",
            "/approvals/",
            "/approvals/?box=all",
            "/approvals/?box=mine&model=flights",
            "/models/?metric=accuracy>0.5",
            "/models/flights/?metric=accuracy>0.5",
            f"/approvals/{promotion.pk}/",
            "/policies/",
            "/policies/set",
            "/endpoints/",
            "/endpoints/flights/",
            "/endpoints/flights/policy",
            "/rollouts/",
            "/rollouts/?show=all",
            f"/rollouts/{Rollout.objects.earliest('id').pk}/",
            "/experiments/",
            f"/experiments/{Experiment.objects.earliest('id').pk}/",
            "/audit/",
            f"/audit/{Event.objects.latest('id').pk}/",
        ]

    def resources(self) -> list[str]:
        """Addresses of every REST read over these rows."""
        version = f"models/flights/versions/{self.versions[0].number}"
        validation = self.versions[0].validations.earliest("id").pk
        promotion = PromotionRequest.objects.filter(version=self.versions[0]).earliest("id").pk
        rollout = f"rollouts/{Rollout.objects.earliest('id').pk}"
        newest = Generation.objects.latest("id").number
        paths = [
            *("models", "models/flights", "models/flights/versions", "models/flights/production"),
            *(version, f"{version}/validations", f"{version}/transitions"),
            *(f"{version}/lineage", f"{version}/card", "models/flights/card"),
            "models/flights/compare?left=1&right=2",
            *(f"{version}/performance", f"validations/{validation}"),
            *("promotion-requests", f"promotion-requests/{promotion}"),
            *(f"promotion-requests/{promotion}/{of}" for of in ("checks", "comments")),
            *("promotion-inbox?box=waiting", "models/flights/history"),
            *("endpoints", "endpoints/flights", "endpoints/flights/phases"),
            *("endpoints/flights/generations", "endpoints/flights/overrides"),
            *("endpoints/flights/assignment?unit=u1", "endpoints/flights/traffic"),
            *(f"generations/{newest}/changes?since=1", "gateways", "targets"),
            *("deployments", f"deployments/{Deployment.objects.earliest('id').pk}"),
            *("endpoints/flights/rollouts", "rollouts", rollout, f"{rollout}/verdicts"),
            *("experiments", f"experiments/{Experiment.objects.earliest('id').pk}"),
        ]
        protocol = (
            "registered-models/search",
            "registered-models/get?name=flights",
            "model-versions/search?filter=name%3D'flights'",
        )
        return [
            *(f"/api/v1/{path}" for path in paths),
            *(f"/api/2.0/mlflow/{path}" for path in protocol),
        ]
