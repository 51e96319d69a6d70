"""The models as ONNX graphs.

Inputs: `carrier`, `origin`, `dest` string [N, 1] and `numeric` float [N, 9] (NUMERIC_FEATURES).
Output: `probabilities` float [N, 2] (on time, delayed). Opset 17, so that servers from ONNX
Runtime 1.12 on read them.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from examples.flights.data import NUMERIC_FEATURES, TEXT_FEATURES
from examples.flights.encoding import RADIX, UNSEEN_RATE, Encoding

OPSETS: Final = {"": 17, "ai.onnx.ml": 3}
IR_VERSION: Final = 8
MONTHS: Final = 13  # index 0 is not a month


@dataclass(frozen=True)
class LinearWeights:
    """Log odds of a late arrival: one weight per code of each category and per numeric feature.

    categories: [levels + 1] each, the last for an unknown value; months: [13]; numeric: [9].
    """

    levels: dict[str, tuple[str, ...]]
    categories: dict[str, npt.NDArray[np.float64]]
    months: npt.NDArray[np.float64]
    numeric: npt.NDArray[np.float64]
    intercept: float


@dataclass
class _Builder:
    """Collects nodes and constants; every method returns the name of its result."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def ml(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self.node(kind, inputs, output, domain="ai.onnx.ml", **attributes)

    def code(self, name: str, levels: tuple[str, ...]) -> str:
        """int64 [N, 1]: index among the levels, len(levels) for an unknown value."""
        return self.ml(
            "LabelEncoder",
            [name],
            f"{name}_code",
            keys_strings=list(levels),
            values_int64s=list(range(len(levels))),
            default_int64=len(levels),
        )

    def column(self, name: str, index: int) -> str:
        """float [N, 1]: one column of `numeric`."""
        at = self.constant(f"{name}_at", np.array([index], np.int64))
        return self.node("Gather", ["numeric", at], name, axis=1)

    def lookup(self, name: str, codes: str, table: npt.NDArray[np.float64]) -> str:
        """float [N, 1]; a code outside the table makes the whole run fail."""
        values = self.constant(f"{name}_table", table.astype(np.float32))
        return self.node("Gather", [values, codes], name)

    def model(self, name: str) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(text, TensorProto.STRING, ["batch", 1])
            for text in TEXT_FEATURES
        ]
        width = len(NUMERIC_FEATURES)
        inputs.append(helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["batch", width]))
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
        graph = helper.make_graph(self.nodes, name, inputs, [output], self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="examples.flights"
        )
        onnx.checker.check_model(model)
        return model


def linear_graph(weights: LinearWeights) -> onnx.ModelProto:
    """Logistic regression: gathered weights of the categories plus numeric times weights."""
    b = _Builder()
    terms = [
        b.lookup(f"{name}_term", b.code(name, levels), weights.categories[name])
        for name, levels in weights.levels.items()
    ]
    month = b.node("Cast", [b.column("month", 0)], "month_code", to=TensorProto.INT64)
    terms.append(b.lookup("month_term", month, weights.months))
    slopes = b.constant("slopes", weights.numeric.astype(np.float32).reshape(-1, 1))
    terms.append(b.node("MatMul", ["numeric", slopes], "numeric_term"))
    terms.append(b.constant("intercept", np.array([[weights.intercept]], np.float32)))
    late = b.node("Sigmoid", [b.node("Sum", terms, "log_odds")], "late")
    one = b.constant("one", np.array([[1.0]], np.float32))
    b.node("Concat", [b.node("Sub", [one, late], "on_time"), late], "probabilities", axis=1)
    return b.model("flights_logistic_regression")


def tree_graph(encoding: Encoding, trees: onnx.ModelProto) -> onnx.ModelProto:
    """Encode as `encoding` does, then ask `trees` ([N, 12] float `X` -> `probabilities`)."""
    b = _Builder()
    codes = {name: b.code(name, levels) for name, levels in encoding.levels.items()}
    carrier = b.lookup("carrier_rate", codes["carrier"], np.asarray(encoding.rates))
    origin = b.node("Cast", [codes["origin"]], "origin_number", to=TensorProto.FLOAT)
    b.node("Concat", [_route_rate(b, codes, encoding), carrier, origin, "numeric"], "X", axis=1)
    b.nodes.extend(trees.graph.node)
    b.constants.extend(trees.graph.initializer)
    return b.model("flights_gradient_boosting")


def _route_rate(b: _Builder, codes: dict[str, str], encoding: Encoding) -> str:
    distance = b.column("distance", NUMERIC_FEATURES.index("distance"))
    whole = b.node("Round", [distance], "distance_rounded")
    terms = [b.node("Cast", [whole], "distance_code", to=TensorProto.INT64)]
    for name, radix in RADIX.items():
        factor = b.constant(f"{name}_radix", np.array([radix], np.int64))
        terms.append(b.node("Mul", [codes[name], factor], f"{name}_part"))
    total = terms[0]
    for place, term in enumerate(terms[1:]):
        total = b.node("Add", [total, term], f"route_code_{place}")
    return b.ml(
        "LabelEncoder",
        [total],
        "route_rate",
        keys_int64s=list(encoding.routes),
        values_floats=list(encoding.routes.values()),
        default_float=UNSEEN_RATE,
    )
