"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

NEW_ENDPOINT = OpenApiExample(
    "An endpoint",
    value={"name": "flights", "model": "flights", "unit_kind": "user", "sample_rate": 0.1},
    request_only=True,
)
ENDPOINT_CHANGE = OpenApiExample(
    "A shorter deadline",
    value={"settings": {"limits": {"deadline_ms": 200}}, "reason": "the app gives up at 250 ms"},
    request_only=True,
)
_SPLIT = [
    {"variant": "stable", "role": "stable", "version": "1", "weight": 9500},
    {"variant": "canary", "role": "canary", "version": "2.0.0", "weight": 500},
]
WEIGHTS = OpenApiExample(
    "5 % to a canary",
    value={"expected_revision": 3, "weights": _SPLIT, "reason": "first look at 2.0.0"},
    request_only=True,
)
PREVIEW = OpenApiExample("5 % to a canary", value={"weights": _SPLIT}, request_only=True)
RESTORE = OpenApiExample(
    "Back to phase 2",
    value={"phase": 2, "expected_revision": 4, "reason": "2.0.0 is slower"},
    request_only=True,
)
ACKNOWLEDGE = OpenApiExample(
    "Rolled back since",
    value={
        "rollout": "rollout:0192f3a4-0000-7000-8000-000000000000",
        "variant": "canary",
        "reason": "rolled back, cause found",
    },
    request_only=True,
)
