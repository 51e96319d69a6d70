"""MLServer with a runtime of our own over onnxruntime and its adaptive batching."""

import asyncio
import os

import numpy as np
from mlserver import MLModel, MLServer
from mlserver.settings import ModelParameters, ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from onnx_row import session


class Runtime(MLModel):
    """Tensors in, tensors out."""

    async def load(self) -> bool:
        self.session = session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        kinds = {"FP32": np.float32, "INT64": np.int64}
        tensors = {
            each.name: np.array(list(each.data), dtype=kinds[each.datatype]).reshape(each.shape)
            for each in payload.inputs
        }
        (found,) = self.session.run(None, tensors)
        output = ResponseOutput(
            name="probabilities",
            shape=list(found.shape),
            datatype="FP32",
            data=found.ravel().tolist(),
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main() -> None:
    """Serve in this process: parallel workers cost more than this model."""
    settings = Settings(
        http_port=int(os.environ["PORT"]),
        grpc_port=int(os.environ["PORT"]) + 1,
        metrics_port=int(os.environ["PORT"]) + 2,
        parallel_workers=0,
        debug=False,
    )
    model = ModelSettings(
        name="rig", implementation=Runtime, parameters=ModelParameters(version="1")
    )
    await MLServer(settings).start([model])


asyncio.run(main())
