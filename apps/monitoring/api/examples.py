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
            "fallbacks": 3,
            "fallbacks_by_kind": {"stale": 2, "default": 1, "503": 1},
            "availability": 0.998,
            "rejected": {"feature_type": 3},
            "feature_faults": {"distance": {"type": 3, "range": 1}},
        },
        "variants": [
            {
                "variant": "canary",
                "version": "flights/2",
                "requests": 200,
                "failed": 2,
                "errors_by_kind": {"model": 2},
                "error_rate": 0.01,
                "cache_hits": 0,
                "fallbacks": 1,
                "fallbacks_by_kind": {"stale": 1},
                "lookup_misses": 3,
                "lookup_unread": 0,
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
_SHADOW_TRAFFIC = {
    "rows": 40210,
    "enough": True,
    "labelled": 40210,
    "agreements": 39446,
    "agreement": 0.981,
    "agreement_interval": {"low": 0.9796, "high": 0.9823},
    "mean_shift": 0.0041,
    "shift_interval": {"low": 0.0033, "high": 0.0049},
    "shift_p95": 0.131,
    "timed": 38007,
    "mean_delay_ms": 0.62,
    "delay_interval": {"low": 0.55, "high": 0.69},
    "baseline_p50_ms": 1.9,
    "baseline_p99_ms": 6.2,
    "shadow_p50_ms": 2.4,
    "shadow_p99_ms": 8.8,
    "errors_by_kind": {"timeout": 3},
    "error_share": 0.0001,
    "dropped": 0,
}
_TRUTH = {
    "sampled": 402,
    "total": 300,
    "both": 236,
    "shadow_only": 22,
    "baseline_only": 10,
    "neither": 32,
    "shadow": {
        "correct": 258,
        "total": 300,
        "sampled": 402,
        "share": 0.86,
        "interval": {"low": 0.8163, "high": 0.8947},
        "matured_share": 0.7463,
    },
    "baseline": {
        "correct": 246,
        "total": 300,
        "sampled": 402,
        "share": 0.82,
        "interval": {"low": 0.7726, "high": 0.8594},
        "matured_share": 0.7463,
    },
    "difference": 0.04,
    "difference_interval": {"low": 0.0012, "high": 0.0782},
    "sentence": "By 300 labels the shadow is more often right.",
}
SHADOW = OpenApiExample(
    "A candidate as a shadow of everything",
    value={
        "endpoint": "flights",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-02T12:00:00Z",
        "comparisons": [
            {
                "version": "flights/3",
                "baseline": "flights/2",
                "sentence": "40,210 rows compared with flights/2, the same label on 98.10 %, "
                "scores +0.0041 on average.",
                "traffic": _SHADOW_TRAFFIC,
                "segments": [{"name": "carrier=AA", "traffic": _SHADOW_TRAFFIC}],
                "truth": _TRUTH,
            }
        ],
    },
    response_only=True,
)
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
