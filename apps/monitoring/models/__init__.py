"""What the data plane reported: exact aggregates, and rows by which outcomes find predictions.

Endpoints, versions ("flights/2") and variants are plain text here: facts outlive what they tell
of, and no fact waits for a lookup. `TrafficWindow`, `TrafficRollup`, `ShadowWindow`,
`PredictionRow` and `ShadowPrediction` are partitioned by day of `started_at` or `occurred_at`; see
`apps.monitoring.partitions`.
"""

from apps.monitoring.models.batches import DeadBatch, GatewayBoot, IngestedBatch, PendingRecords
from apps.monitoring.models.predictions import (
    Outcome,
    OutcomeState,
    PredictionQuerySet,
    PredictionRow,
)
from apps.monitoring.models.shadows import ShadowPrediction, ShadowWindow
from apps.monitoring.models.traffic import (
    RejectedWindow,
    TrafficCounts,
    TrafficRollup,
    TrafficWindow,
)
from apps.monitoring.models.units import ExposureRow, UnitFailure

__all__ = [
    "DeadBatch",
    "ExposureRow",
    "GatewayBoot",
    "IngestedBatch",
    "Outcome",
    "OutcomeState",
    "PendingRecords",
    "PredictionQuerySet",
    "PredictionRow",
    "RejectedWindow",
    "ShadowPrediction",
    "ShadowWindow",
    "TrafficCounts",
    "TrafficRollup",
    "TrafficWindow",
    "UnitFailure",
]
