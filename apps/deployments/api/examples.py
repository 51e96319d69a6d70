"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

DEPLOY = OpenApiExample(
    "Load it, no traffic yet",
    value={
        "version": "2",
        "replicas": 1,
        "instance_type": "cpu",
        "traffic_percentage": 0,
        "wait_s": 30,
    },
    request_only=True,
)
DEPLOYED = OpenApiExample(
    "Started",
    value={
        "deployment_id": "0192f3a4-0000-7000-8000-000000000000",
        "status": "pending",
        "endpoint": "flights",
    },
    response_only=True,
)
ROLLOUT = OpenApiExample(
    "5, 50, 100 % with an hour each",
    value={
        "candidate": "2.0.0",
        "steps": [
            {"weight": 500, "hold_s": 3600, "minimum_requests": 1000, "minimum_labels": 0},
            {"weight": 5000, "hold_s": 3600, "minimum_requests": 1000, "minimum_labels": 100},
            {"weight": 10000, "hold_s": 3600, "minimum_requests": 1000, "minimum_labels": 100},
        ],
        "conditions": {"p99_pass_ms": 100, "p99_fail_ms": 200},
        "reason": "2.0.0 is 3 points more accurate",
    },
    request_only=True,
)
REASON = OpenApiExample("With a reason", value={"reason": "customers call"}, request_only=True)
PROMOTE = OpenApiExample(
    "The next step now",
    value={"reason": "seen enough", "to_end": False},
    request_only=True,
)
