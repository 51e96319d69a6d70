"""A ramp to test with: two versions, an endpoint, a rollout, and facts as gateways send them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.deployments import services
from apps.deployments.analysis import Conditions
from apps.deployments.models import Rollout
from apps.deployments.rollout import Step
from apps.deployments.selectors import get_rollout
from apps.monitoring.ingest import batches, settlement
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint, Phase
from contracts.records import Batch, Failure
from serving.allocation import bucket_of, variant_at
from tests.monitoring.factories import batch, counter, envelope, outcome, record
from tests.routing.factories import deployed, make_endpoint, operator, route, stable

STEPS = (
    Step(weight=500, hold_s=60, minimum_requests=50),
    Step(weight=5_000, hold_s=60, minimum_requests=50),
    Step(weight=10_000, hold_s=60, minimum_requests=50),
)
USERS = [f"user-{number}" for number in range(500)]
_seqs = itertools.count(1)


@dataclass
class Ramp:
    """A rollout of version 2 over version 1; `now` moves only when told to."""

    endpoint: Endpoint
    stable: ModelVersion
    candidate: ModelVersion
    rollout: Rollout
    now: datetime

    def tick(self, seconds: float = 0) -> Rollout:
        """Let time pass, then look once."""
        self.now += timedelta(seconds=seconds)
        self.rollout = services.tick_rollout(rollout_id=self.rollout.pk, now=self.now)
        return self.fresh()

    def pass_step(self) -> Rollout:
        """Healthy traffic on both variants, and a tick after the hold."""
        self.serve("canary", 200)
        self.serve("stable", 2_000)
        return self.tick(61)

    def fresh(self) -> Rollout:
        self.rollout = get_rollout(self.rollout.pk)
        self.endpoint.refresh_from_db()
        return self.rollout

    def phase(self) -> Phase:
        phase = self.endpoint.phase
        assert phase is not None
        return phase

    def weights(self) -> dict[str, int]:
        return self.phase().weights()

    def serve(
        self,
        variant: str,
        requests: int,
        *,
        errors: int = 0,
        fallbacks: int = 0,
        latency_ms: float = 10.0,
    ) -> None:
        """Answers of one second, at the current step."""
        answered = [latency_ms] * min(requests - errors, 50)
        counted = counter(
            answered,
            second=int(self.now.timestamp()),
            version=self.version_of(variant).version_key,
            variant=variant,
            phase=self.phase().number,
            requests=requests,
            errors={"model": errors} if errors else {},
            fallbacks=fallbacks,
        )
        if answered:
            share = (requests - errors) // len(answered)
            bins = {index: count * share for index, count in counted.latency.items()}
            counted = counter(**{**_fields(counted), "latency": bins})
        ingest(counters=(counted,))

    def fail_units(self, variant: str, count: int) -> None:
        """First failures of `count` units of a variant."""
        ingest(
            failures=tuple(
                Failure(
                    at=self.now.timestamp() + number / 1_000,
                    endpoint=self.endpoint.name,
                    rollout=self.rollout.key,
                    phase=self.phase().number,
                    unit=f"{variant}-{next(_seqs)}",
                    variant=variant,
                    version=self.version_of(variant).version_key,
                    kind="model",
                    share=self.weights()["canary"] / 10_000,
                )
                for number in range(count)
            )
        )

    def label(self, variant: str, *, right: int, wrong: int) -> None:
        """Predictions of a variant whose truth is known."""
        made = [
            record(
                f"{variant}-{next(_seqs)}",
                at=self.now.timestamp(),
                version=self.version_of(variant).version_key,
                variant=variant,
                phase=self.phase().number,
            )
            for _ in range(right + wrong)
        ]
        truths = [
            outcome(one.prediction_id, value="late" if number < right else "on time")
            for number, one in enumerate(made)
        ]
        ingest(records=tuple(made), outcomes=tuple(truths))

    def version_of(self, variant: str) -> ModelVersion:
        return self.candidate if variant == "canary" else self.stable

    def users_of(self, variant: str) -> set[str]:
        """Which of the users the variant has now."""
        phase = self.phase()
        ranges = phase.allocation()
        return {
            user for user in USERS if variant_at(ranges, bucket_of(phase.salt, user)) == variant
        }


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def ingest(**facts: Any) -> None:
    """Count a batch of facts."""
    sealed: Batch = batch(next(_seqs), **facts)
    committed = batches.commit(envelopes=[envelope(sealed)])
    settlement.settle(committed=committed, boots=[])


def planned(
    *, steps: Sequence[Step] = STEPS, conditions: Conditions | None = None, **options: Any
) -> Ramp:
    """Version 1 serves everybody; a rollout of version 2 waits for its first tick."""
    old, new = deployed(1), deployed(2)
    endpoint = make_endpoint()
    route(endpoint, stable(old))
    endpoint.refresh_from_db()
    rollout = services.create_rollout(
        actor=operator(),
        endpoint=endpoint,
        candidate=new,
        steps=steps,
        conditions=conditions,
        reason="test",
        **options,
    )
    return Ramp(endpoint, old, new, rollout, timezone.now())


def started(**options: Any) -> Ramp:
    """`planned`, at its first step."""
    ramp = planned(**options)
    ramp.tick()
    return ramp
