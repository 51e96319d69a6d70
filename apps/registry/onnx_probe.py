"""Opens and runs one ONNX model, shut in by `conversion/sandbox.py`; never imported.

Stands alone: it has the packages of its environment only.
"""

import base64
import time
from typing import Any

WARM_UP_RUNS = 5
LATENCY_BUDGET_S = 5.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "|b1"}


def texts(raw: bytes) -> list[str]:
    """Cells of a BYTES tensor, each behind its length in four little-endian bytes."""
    cells, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        cells.append(raw[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return cells


def array(tensor: dict[str, Any], rows: int) -> Any:
    """The tensor `[rows, columns]` that the job carries."""
    import numpy as np

    raw = base64.b64decode(tensor["data"])
    if tensor["datatype"] == "BYTES":
        return np.array(texts(raw), dtype=object).reshape(rows, -1)
    return np.frombuffer(raw, DTYPES[tensor["datatype"]]).reshape(rows, -1)


def open_session(path: str) -> Any:
    """The model in onnxruntime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def latencies(session: Any, output: str, row: dict[str, Any], runs: int) -> list[float]:
    """Milliseconds of each of up to `runs` predictions of one row, after a warm-up."""
    for _ in range(WARM_UP_RUNS):
        session.run([output], row)
    found: list[float] = []
    stop = time.perf_counter() + LATENCY_BUDGET_S
    while len(found) < runs and time.perf_counter() < stop:
        start = time.perf_counter()
        session.run([output], row)
        found.append((time.perf_counter() - start) * 1000.0)
    return found


def ports(found: Any) -> list[dict[str, Any]]:
    """Name, type and sizes of each input or output as onnxruntime sees them."""
    return [{"name": port.name, "type": port.type, "shape": list(port.shape)} for port in found]


def predict(session: Any, job: dict[str, Any]) -> dict[str, Any]:
    """The answer for the job's rows, and how long one row takes."""
    import numpy as np

    feeds = {tensor["name"]: array(tensor, job["rows"]) for tensor in job["tensors"]}
    (answer,) = session.run([job["output"]], feeds)
    answer = np.ascontiguousarray(answer)
    if answer.nbytes > MAX_ANSWER_BYTES:
        raise ValueError(f"the answer has {answer.nbytes} bytes")
    one = {name: values[:1] for name, values in feeds.items()}
    return {
        "answer": base64.b64encode(answer.tobytes()).decode(),
        "answer_type": str(answer.dtype),
        "answer_shape": list(answer.shape),
        "latencies_ms": latencies(session, job["output"], one, job["runs"]),
    }


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Open, then predict; what goes wrong is told as {"stage", "error"}."""
    answer: dict[str, Any] = {}
    stage = "load"
    try:
        import onnxruntime  # noqa: F401  # its import is no part of how long the model takes

        start = time.perf_counter()
        session = open_session(job["path"])
        answer["load_ms"] = (time.perf_counter() - start) * 1000.0
        answer |= {"inputs": ports(session.get_inputs()), "outputs": ports(session.get_outputs())}
        stage = "run"
        if job["rows"]:
            answer |= predict(session, job)
    except Exception as error:  # onnxruntime raises many kinds; all of them are findings
        answer |= {"stage": stage, "error": f"{type(error).__name__}: {error}"[:1000]}
    return answer
