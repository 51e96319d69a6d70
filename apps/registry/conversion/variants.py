"""Writes a smaller variant of an ONNX model: INT8 weights, or half precision; in the sandbox.

Never imported. Stands alone in the environment of requirements/conversion.txt.
"""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

TARGET = "model.onnx"
QUANTISED = {
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "QLinearMatMul",
    "QGemm",
    "DequantizeLinear",
}
HALF = 10  # TensorProto.FLOAT16


def int8(source: str, target: str) -> bool:
    """Dynamic quantisation of weights; whether there was anything to quantise."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    graph = onnx.load(target).graph
    return any(node.op_type in QUANTISED for node in graph.node)


def fp16(source: str, target: str) -> bool:
    """Half precision inside, inputs and outputs as they were; whether anything became half."""
    import onnx
    from onnxconverter_common.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
    onnx.save(model, target)
    return any(weight.data_type == HALF for weight in model.graph.initializer)


KINDS = {"int8": int8, "fp16": fp16}


def main(order: dict[str, Any]) -> dict[str, str]:
    """Write the variant; `error` says why there is none."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    target = str(Path(os.environ["TMPDIR"], TARGET))
    try:
        changed = KINDS[order["kind"]](order["path"], target)
    except Exception as error:  # onnx and onnxruntime raise many kinds; all of them are findings
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    if not changed:
        return {"error": f"nothing in this model becomes {order['kind']}"}
    return {"error": ""}
