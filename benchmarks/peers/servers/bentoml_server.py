"""BentoML with its adaptive batching; run by `bentoml serve`."""

from typing import Any

import bentoml
from onnx_row import predict, session


@bentoml.service(workers=1, traffic={"timeout": 30})
class Rig:
    """One row in, one prediction out."""

    def __init__(self) -> None:
        self.model = session()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1_000)
    def predict(self, features: list[dict[str, Any]]) -> list[float]:
        return predict(self.model, features)
