"""A trained model as the other parts of the example hand it on. Imports nothing heavy."""

from dataclasses import asdict, dataclass
from typing import Any, Final

LABEL_MAP: Final = {"0": "on time", "1": "delayed"}


@dataclass(frozen=True)
class TrainedModel:
    """One version ready to be registered.

    threshold: a flight with a late probability at or above it is called delayed.
    example: raw flights as a client sends them, in FEATURES order.
    sample: flights that it was trained on, with whether each was late (1) or not (0): explanations
        and drift compare with them.
    """

    name: str
    onnx_bytes: bytes
    threshold: float
    metrics: dict[str, float]
    parameters: dict[str, str]
    data_digest: str
    trained_at: str
    example: list[dict[str, Any]]
    sample: list[dict[str, Any]]
    labels: list[int]

    def document(self) -> dict[str, Any]:
        """Everything but the graph, as JSON values."""
        return {key: value for key, value in asdict(self).items() if key != "onnx_bytes"}
