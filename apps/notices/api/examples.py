"""Examples of the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

WEBHOOK: dict[str, Any] = {
    "id": 4,
    "team": "flights",
    "url": "https://hooks.example.com/switchyard",
    "description": "the team's chat",
    "verbs": ["promotion.*", "rollout.rolled_back"],
    "objects": [],
    "enabled": True,
    "disabled_reason": "",
    "failures": 0,
    "first_failed_at": None,
    "resumes_at": None,
    "overlap_ends_at": None,
    "created_by_key": "user:ada",
    "created_at": "2026-03-02T09:00:00Z",
}
NEW = OpenApiExample(
    "Promotions and rollbacks",
    value={
        "team": "flights",
        "url": "https://hooks.example.com/switchyard",
        "verbs": ["promotion.*", "rollout.rolled_back"],
        "description": "the team's chat",
    },
    request_only=True,
)
MADE = OpenApiExample(
    "With its secret",
    value={**WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="},
    response_only=True,
)
SEEN = OpenApiExample("A webhook", value=WEBHOOK, response_only=True)
CHANGE = OpenApiExample(
    "Hear of one model only",
    value={"objects": ["model:flights", "version:flights/*"], "reason": "less noise"},
    request_only=True,
)
ROTATION = OpenApiExample(
    "With a day to change over",
    value={"overlap_s": 86_400, "reason": "yearly rotation"},
    request_only=True,
)
NOTHING = OpenApiExample("Nothing to say", value={}, request_only=True)
REPLAY = OpenApiExample("Once more", value={"reason": "the receiver was down"}, request_only=True)
DEAD_REPLAY = OpenApiExample(
    "What was given up since the outage began",
    value={"since": "2026-03-02T09:00:00Z", "reason": "the receiver is back"},
    request_only=True,
)
REPLAYED = OpenApiExample("Twelve messages", value={"messages": 12}, response_only=True)
DELIVERY = OpenApiExample(
    "Taken at the second try",
    value={
        "id": "0198c5e2-7a10-7cc0-8000-1f2e3d4c5b6a",
        "message_id": "msg_0198c5e27a107cc080001f2e3d4c5b6a",
        "webhook": 4,
        "event_id": "0198c5e2-79f0-7d00-8000-aabbccddeeff",
        "verb": "promotion.approved",
        "object_key": "promotion:0198c5e2-0000-7d00-8000-aabbccddeeff",
        "state": "delivered",
        "tries": 2,
        "created_at": "2026-03-02T09:00:00Z",
        "due_at": "2026-03-02T09:00:05Z",
        "ended_at": "2026-03-02T09:00:05Z",
        "body": '{"type":"promotion.approved","timestamp":"2026-03-02T09:00:00Z","data":{}}',
        "attempts": [
            {
                "at": "2026-03-02T09:00:05Z",
                "status": 204,
                "latency_s": 0.08,
                "excerpt": "",
                "error": "",
            },
            {
                "at": "2026-03-02T09:00:00Z",
                "status": 503,
                "latency_s": 0.11,
                "excerpt": "upstream is starting",
                "error": "",
            },
        ],
    },
    response_only=True,
)
PREFERENCES = OpenApiExample(
    "Decisions together, rollbacks at once",
    value={"promotion_decided": "daily", "rolled_back": "immediately"},
)
