"""LitServe with its own batching."""

import os
from typing import Any

import litserve
from onnx_row import predict, session


class Api(litserve.LitAPI):
    """One row in, one prediction out; rows are predicted together."""

    def setup(self, device: str) -> None:
        self.model = session()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        features: dict[str, Any] = request["features"]
        return features

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return inputs

    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        return predict(self.model, rows)

    def unbatch(self, output: list[float]) -> list[float]:
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        return {"prediction": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(max_batch_size=32, batch_timeout=0.002), accelerator="cpu")
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="error")
