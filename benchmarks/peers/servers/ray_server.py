"""Ray Serve with its batching."""

import os
import time
from typing import Any

import ray
from onnx_row import predict, session
from ray import serve


@serve.deployment(max_ongoing_requests=256)
class Rig:
    """One row in, one prediction out; rows are predicted together."""

    def __init__(self) -> None:
        self.model = session()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def batched(self, rows: list[dict[str, Any]]) -> list[float]:
        return predict(self.model, rows)

    async def __call__(self, request: Any) -> dict[str, float]:
        body = await request.json()
        return {"prediction": await self.batched(body["features"])}


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
serve.run(Rig.bind(), route_prefix="/predict")
while True:
    time.sleep(1)
