"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

NEW_MODEL = OpenApiExample(
    "A model",
    value={
        "name": "flights",
        "team": "ops",
        "tier": "standard",
        "description": "Will this flight arrive more than 15 minutes late?",
        "tags": {"domain": "aviation"},
    },
    request_only=True,
)
MODEL_CHANGE = OpenApiExample("Raise the tier", value={"tier": "critical"}, request_only=True)
VERSION_CHANGE = OpenApiExample(
    "Describe a version",
    value={"description": "trained on February's flights", "tags": {"squad": "punctuality"}},
    request_only=True,
)
FROM_RUN = OpenApiExample(
    "From a run",
    value={
        "run_id": "6898e7d3130e4d7f8ab7c9747f799908",
        "artifact_path": "model",
        "semantic_version": "2.0.0",
        "label_map": {"0": "on time", "1": "delayed"},
        "decision_threshold": 0.3,
    },
    request_only=True,
)
WITH_STEPS = OpenApiExample(
    "With preprocessing",
    value={
        "run_id": "6898e7d3130e4d7f8ab7c9747f799908",
        "preprocessing": [
            {"step": "impute", "inputs": ["wind"], "values": [9.5], "strategy": "mean"},
            {"step": "standardise", "inputs": ["wind"], "mean": [10.1], "scale": [4.7]},
            {"step": "onehot", "inputs": ["carrier"], "categories": [["AA", "UA"]]},
        ],
        "columns": ["wind", "carrier=AA", "carrier=UA"],
        "golden": {
            "rows": [{"wind": 10.1, "carrier": "UA"}, {"wind": None, "carrier": "AA"}],
            "columns": [[0.0, 0.0, 1.0], [-0.1276595744680851, 1.0, 0.0]],
        },
    },
    request_only=True,
)
FROM_REGISTRY = OpenApiExample(
    "From MLflow's registry",
    value={"mlflow_name": "flights", "mlflow_version": "2"},
    request_only=True,
)
PROMOTION = OpenApiExample(
    "Ask for production",
    value={"stage": "production", "reason": "better on February's flights"},
    request_only=True,
)
REASON = OpenApiExample("A reason", value={"reason": "evidence read"}, request_only=True)
