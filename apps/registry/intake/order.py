"""What a version's artifact is to be taken over from, and what was said about it on the way."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["mlflow", "upload", "derive"]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept with the version, so that any worker can begin anew.

    `source` is an address in MLflow for "mlflow", the SHA-256 of an upload for "upload", and the
    kind of variant for "derive". `server` says which MLflow (`apps.registry.mlflow.servers`). What
    is None is taken from what was logged. `signature` holds MLflow's "inputs" and "outputs" for an
    upload.
    """

    source: str
    kind: Kind = "mlflow"
    server: str = ""
    run_id: str = ""
    label_map: dict[str, str] | None = None
    decision_threshold: float | None = None
    preprocessing: list[Any] | None = None
    columns: list[str] | None = None
    golden: dict[str, Any] | None = None
    signature: dict[str, Any] | None = None
    example: list[dict[str, Any]] | None = None

    def declared(self) -> Mapping[str, Any]:
        """The parts of a declaration that were given."""
        parts = {name: getattr(self, name) for name in ("preprocessing", "columns", "golden")}
        return {name: value for name, value in parts.items() if value is not None}
