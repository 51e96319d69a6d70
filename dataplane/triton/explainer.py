"""Triton's `config.pbtxt` for the entry that explains a model version, from its schema alone.

It stands beside the version's own entry, takes the same tensors for one row and the class to
explain (-1: the one that is predicted), and gives one contribution per attribution.
"""

import msgspec

from contracts.schema import ModelSchema
from dataplane.triton.config import quoted, tensor_block, triton_type
from serving.attribution import attributions

EXPLAIN_PARAMETER = "explain"
CLASS_INPUT = "class"
PREDICTED_CLASS = (-1).to_bytes(8, "little", signed=True)
OUTPUTS = ("contributions", "base_value", "prediction", "class")
METHOD = "permutation"
# How the runtime says that a sum is wrong; see runtime/explain.py.
NOT_ADDITIVE = "miss the prediction by"
MAX_ATTRIBUTIONS = 256


class NotExplainable(ValueError):
    """A version that no explainer can be made for; the message says why."""


def explainer_entry(entry: str) -> str:
    """Triton's name of the explainer beside `entry`."""
    return f"{entry}-explain"


def require_explainable(schema: ModelSchema) -> None:
    """Raise NotExplainable for a schema that the runtime cannot take."""
    count = len(attributions(schema))
    if not 1 <= count <= MAX_ATTRIBUTIONS:
        raise NotExplainable(
            f"the model takes {count} features; 1 to {MAX_ATTRIBUTIONS} can be explained"
        )
    if any(tensor.name == CLASS_INPUT for tensor in schema.tensors):
        raise NotExplainable(f"the model has an input tensor named {CLASS_INPUT!r}")


def explainer_pbtxt(schema: ModelSchema, entry: str) -> str:
    """The configuration of the explainer `entry`. Raises NotExplainable.

    One instance, one row at a time: explanations wait for each other and for nobody else.
    """
    require_explainable(schema)
    told = quoted(msgspec.json.encode(_told(schema)).decode())
    count = len(attributions(schema))
    blocks = [
        f'name: "{entry}"',
        'backend: "python"',
        "max_batch_size: 1",
        *(tensor_block("input", t.name, t.datatype, len(t.features)) for t in schema.tensors),
        tensor_block("input", CLASS_INPUT, "INT64", 1),
        tensor_block("output", "contributions", "FP64", count),
        tensor_block("output", "base_value", "FP64", 1),
        tensor_block("output", "prediction", "FP64", 1),
        tensor_block("output", "class", "INT64", 1),
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        f'parameters {{ key: "{EXPLAIN_PARAMETER}" value: {{ string_value: {told} }} }}',
    ]
    return "\n".join(blocks) + "\n"


def _told(schema: ModelSchema) -> dict[str, object]:
    """What the runtime must know; `model` is the served entry's configuration, as far as needed."""
    output = schema.output
    served = {
        "name": output.tensor,
        "data_type": triton_type(output.datatype),
        "dims": [output.width],
    }
    return {
        "features": [each.cells for each in attributions(schema)],
        "inputs": {tensor.name: triton_type(tensor.datatype) for tensor in schema.tensors},
        "kind": output.kind,
        "output": output.tensor,
        "width": output.width,
        "model": {"input": [{"name": each.name} for each in schema.tensors], "output": [served]},
    }
