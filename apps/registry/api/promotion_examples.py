"""Examples of the resources that govern promotions."""

from drf_spectacular.utils import OpenApiExample

LADDER = OpenApiExample(
    "A quality gate before staging",
    value={
        "team": "ops",
        "stages": [
            {"key": "dev", "title": "Development", "allowance": "none"},
            {"key": "qa", "title": "Quality", "allowance": "none"},
            {"key": "staging", "title": "Staging", "allowance": "shadow"},
            {"key": "production", "title": "Production", "allowance": "all"},
        ],
        "reason": "the regulator asks for a quality gate",
    },
    request_only=True,
)
POLICY = OpenApiExample(
    "Two signatures, one of them from risk",
    value={
        "team": "ops",
        "stage": "production",
        "tier": "critical",
        "rules": {
            "approvals": 2,
            "groups": [
                {"name": "team", "roles": ["approver"]},
                {"name": "risk", "teams": ["risk"], "people": ["user:vera"]},
            ],
            "barred": {"owner": True},
            "lifetime_h": 72,
            "checks": {
                "examination": {},
                "regression": {"settings": {"metrics": ["auc"], "margin": 0.005}},
                "bias": {
                    "waivable": True,
                    "settings": {"groups": ["region"], "demographic_parity": 0.1},
                },
                "shadow": {"settings": {"minimum_rows": 5000, "minimum_s": 604800}},
            },
        },
        "reason": "decided by the model board",
    },
    request_only=True,
)
FREEZE = OpenApiExample(
    "Every weekend",
    value={
        "team": "ops",
        "stage": "production",
        "title": "Weekend",
        "window": {"type": "weekly", "days": [4], "start": "16:00", "end": "08:00"},
        "zone": "Europe/Berlin",
        "reason": "nobody is there to roll back",
    },
    request_only=True,
)
HOOK = OpenApiExample(
    "A licence scanner",
    value={
        "team": "ops",
        "name": "licences",
        "title": "Licences",
        "url": "https://scanner.example.com/switchyard",
        "timeout_s": 10,
        "attempts": 3,
    },
    request_only=True,
)
RERUN = OpenApiExample("One check", value={"checks": ["shadow"]}, request_only=True)
COMMENT = OpenApiExample(
    "A question", value={"body": "Why is recall lower for EV?"}, request_only=True
)
