"""Examples in the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

TRAFFIC = OpenApiExample(
    "A canary at 5 %",
    value={
        "endpoint": "flights",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T12:00:20Z",
        "step_s": 10,
        "totals": {
            "requests": 4100,
            "failed": 8,
            "cache_hits": 12,
            "fallbacks": 0,
            "availability": 0.998,
            "rejected": {"type": 3},
        },
        "variants": [
            {
                "variant": "canary",
                "requests": 200,
                "failed": 2,
                "errors_by_kind": {"model": 2},
                "error_rate": 0.01,
                "cache_hits": 0,
                "fallbacks": 0,
                "p50_ms": 2.1,
                "p95_ms": 4.8,
                "p99_ms": 9.7,
                "mean_batch_rows": 6.4,
                "series": {
                    "at": ["2026-03-01T12:00:00Z", "2026-03-01T12:00:10Z"],
                    "requests": [96, 104],
                    "failed": [0, 2],
                    "error_rate": [0.0, 0.0192],
                    "p50_ms": [2.1, 2.1],
                    "p95_ms": [4.7, 4.9],
                    "p99_ms": [9.1, 9.8],
                },
            }
        ],
    },
    response_only=True,
)
_ACCURACY = {
    "correct": 812,
    "total": 1000,
    "sampled": 1250,
    "share": 0.812,
    "interval": {"low": 0.7867, "high": 0.835},
    "matured_share": 0.8,
}
PERFORMANCE = OpenApiExample(
    "Most labels are here",
    value={
        "version": "flights/2",
        "since": None,
        "accuracy": _ACCURACY,
        "phases": [{"endpoint": "flights", "variant": "canary", "phase": 3, "accuracy": _ACCURACY}],
    },
    response_only=True,
)
