"""What a rollout may be asked to do."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from apps.deployments.analysis import Conditions
from apps.deployments.errors import Invalid
from apps.deployments.rollout import Step
from contracts.routing import BUCKETS

MAX_STEPS = 50
SHARES = frozenset({"error_rate_fail", "accuracy_drop_fail", "alpha"})
PAIRS = (("error_rate_pass", "error_rate_fail"), ("p99_pass_ms", "p99_fail_ms"))


def check_steps(steps: Sequence[Step]) -> None:
    """Raises Invalid unless the steps rise within 1..10,000 and ask for nothing impossible."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise Invalid(f"a rollout has 1 to {MAX_STEPS} steps", field="steps")
    reached = 0
    for number, step in enumerate(steps):
        if not reached < step.weight <= BUCKETS:
            raise Invalid(
                "weights are basis points that rise from step to step, up to 10000",
                field=f"steps[{number}].weight",
            )
        if not (0 <= step.hold_s < math.inf):
            raise Invalid("a hold is 0 s or longer", field=f"steps[{number}].hold_s")
        if step.minimum_requests < 0 or step.minimum_labels < 0:
            raise Invalid("a step asks for 0 or more", field=f"steps[{number}]")
        reached = step.weight


def check_conditions(conditions: Conditions) -> None:
    """Raises Invalid for limits that contradict each other or that nothing could meet."""
    values = asdict(conditions)
    for name, value in values.items():
        top = 1.0 if name in SHARES else math.inf
        if not 0 < value < top:
            words = "lies between 0 and 1" if name in SHARES else "is a positive number"
            raise Invalid(f"{name} {words}", field=f"conditions.{name}")
    for passing, failing in PAIRS:
        if values[passing] > values[failing]:
            raise Invalid(f"{passing} is at most {failing}", field=f"conditions.{passing}")
