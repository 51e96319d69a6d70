"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

NEW = OpenApiExample(
    "Half and half",
    value={
        "name": "Does the boosted model help?",
        "endpoint": "flights",
        "hypothesis": "Version 2 lets travellers rebook in time: more rebookings per user.",
        "arms": [
            {"variant": "control", "version": "1", "weight": 5000, "control": True},
            {"variant": "boosted", "version": "2", "weight": 5000},
        ],
        "metrics": [
            {"name": "rebooked", "role": "goal", "kind": "proportion", "direction": "increase"}
        ],
        "planned_days": 7,
    },
    request_only=True,
)
REASON = OpenApiExample("A reason", value={"reason": "sample size reached"}, request_only=True)
DECISION = OpenApiExample(
    "Ship it",
    value={"decision": "ship", "reason": "more rebookings, no guardrail touched"},
    request_only=True,
)
