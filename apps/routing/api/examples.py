"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

NEW_ENDPOINT = OpenApiExample(
    "An endpoint",
    value={"name": "flights", "model": "flights", "unit_kind": "user", "sample_rate": 0.1},
    request_only=True,
)


def _change(title: str, reason: str, **settings: object) -> OpenApiExample:
    value = {"settings": settings, "reason": reason}
    return OpenApiExample(title, value=value, request_only=True)


def _policy(title: str, reason: str, **parts: object) -> OpenApiExample:
    return _change(title, reason, policy=parts)


ENDPOINT_CHANGES = [
    _change("A shorter deadline", "the app gives up at 250 ms", limits={"deadline_ms": 200}),
    _policy(
        "Answers from a cache",
        "the same flights are asked for again and again",
        cache={"ttl_s": 600, "stale_s": 86400, "entries": 50000, "shared": True, "beta": 1.0},
    ),
    _policy(
        "A breaker that opens on slow answers, too",
        "two stalls last week",
        breaker={"window_s": 10, "minimum": 50, "error_share": 0.3, "slow_ms": 250, "open_s": 5},
    ),
    _policy(
        "Something instead of an error",
        "a guess is better than none here",
        fallback={
            "stale": True,
            "variant": "backup",
            "default": {"prediction": 0.2, "label": "on_time"},
        },
    ),
    _policy(
        "Features from the store",
        "the app does not know these",
        lookup={
            "prefix": "user:",
            "budget_ms": 5,
            "features": [{"name": "trips_30d", "default": 0}, {"name": "home_airport"}],
        },
    ),
    _policy(
        "Half the users mirrored to a shadow",
        "a week of shadow for 2.1.0",
        mirrors=[{"variant": "shadow", "share": 0.5, "segments": ["carrier"]}],
    ),
    _policy(
        "Long-haul and gold to the strong model",
        "the small one is weak on long-haul",
        rules=[
            {
                "name": "long-haul",
                "when": [
                    {"subject": "feature", "name": "distance", "comparison": "gt", "value": 2500}
                ],
                "endpoint": "flights-strong",
            },
            {
                "name": "gold",
                "when": [
                    {"subject": "tier", "comparison": "in", "value": ["gold", "platinum"]},
                    {"subject": "payload_bytes", "comparison": "lt", "value": 4096},
                ],
                "endpoint": "flights-strong",
            },
        ],
    ),
]
_SPLIT = [
    {"variant": "stable", "role": "stable", "version": "1", "weight": 9500},
    {"variant": "canary", "role": "canary", "version": "2.0.0", "weight": 500},
]
WEIGHTS = OpenApiExample(
    "5 % to a canary",
    value={"expected_revision": 3, "weights": _SPLIT, "reason": "first look at 2.0.0"},
    request_only=True,
)
ENSEMBLE = OpenApiExample(
    "Two versions, 70:30",
    value={
        "expected_revision": 5,
        "weights": [
            {
                "variant": "stable",
                "role": "stable",
                "version": "3",
                "weight": 10000,
                "ensemble": {
                    "combine": "weighted",
                    "members": ["stable", "second"],
                    "weights": [0.7, 0.3],
                },
            },
            {"variant": "second", "role": "member", "version": "2", "weight": 0},
        ],
        "reason": "together they are better than either",
    },
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
