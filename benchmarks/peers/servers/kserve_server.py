"""KServe's model server with a model of our own over onnxruntime."""

import os
from typing import Any

import kserve
from onnx_row import predict, session


class Rig(kserve.Model):
    """One row in, one prediction out."""

    def __init__(self) -> None:
        super().__init__("rig")
        self.session = session()
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, **_: Any) -> dict[str, Any]:
        return {"predictions": predict(self.session, payload["instances"])}


if __name__ == "__main__":
    server = kserve.ModelServer(
        http_port=int(os.environ["PORT"]),
        enable_grpc=False,
        enable_latency_logging=False,
        access_log_format=None,
        workers=1,
    )
    server.start([Rig()])
