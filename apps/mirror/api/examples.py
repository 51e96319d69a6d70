"""Examples of the OpenAPI document."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

MIRROR: dict[str, Any] = {
    "id": 3,
    "team": "flights",
    "title": "The research registry",
    "tracking_uri": "https://mlflow.example.com",
    "pattern": "fraud-*",
    "tier": "critical",
    "owner": "ada",
    "writes_back": True,
    "has_credentials": True,
    "paused": False,
    "paused_reason": "",
    "sweeping": False,
    "models_seen": 12,
    "swept_at": "2026-03-02T09:00:00Z",
    "fully_swept_at": "2026-03-02T08:30:00Z",
    "due_at": "2026-03-02T09:01:00Z",
    "failures": 0,
    "error": "",
    "written_at": "2026-03-02T08:12:00Z",
    "write_failures": 0,
    "write_error": "",
    "owes_since": None,
    "models_here": 12,
    "differences_open": 1,
    "created_by_key": "user:ada",
    "created_at": "2026-03-01T09:00:00Z",
}
NEW = OpenApiExample(
    "The models of one team",
    value={
        "team": "flights",
        "title": "The research registry",
        "tracking_uri": "https://mlflow.example.com",
        "credentials": {"username": "switchyard", "password": "a long one"},
        "pattern": "fraud-*",
        "tier": "critical",
        "writes_back": True,
    },
    request_only=True,
)
MADE = OpenApiExample(
    "With the secret of its hints",
    value={**MIRROR, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="},
    response_only=True,
)
SEEN = OpenApiExample("A mirror", value=MIRROR, response_only=True)
CHANGE = OpenApiExample(
    "Write nothing back",
    value={"writes_back": False, "reason": "the registry is being moved"},
    request_only=True,
)
DIFFERENCE = OpenApiExample(
    "The champion was moved without an approval",
    value={
        "id": 17,
        "mirror": 3,
        "name": "fraud-cards",
        "version": "",
        "kind": "alias_moved",
        "subject": "champion",
        "sentence": "Alias champion was moved in MLflow",
        "was": {"version": "4"},
        "found": {"version": "5"},
        "made_by": "",
        "state": "open",
        "found_at": "2026-03-02T09:00:00Z",
        "ended_at": None,
        "ended_by_key": "",
        "reason": "",
    },
    response_only=True,
)
ACCEPT = OpenApiExample(
    "Let it stand", value={"reason": "agreed with the team of research"}, request_only=True
)
REVERT = OpenApiExample(
    "Put it back", value={"reason": "nobody approved version 5"}, request_only=True
)
POLL = OpenApiExample("Look now", value={"reason": "a release is coming"}, request_only=True)
PAUSE = OpenApiExample("Pause", value={"reason": "MLflow is being moved"}, request_only=True)
RESUME = OpenApiExample("Resume", value={"reason": "MLflow is back"}, request_only=True)
