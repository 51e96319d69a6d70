"""What a model version takes and gives: agreed by registry, gateway and Triton runtime."""

from typing import Literal

import msgspec

from contracts.preprocessing import Step

FeatureKind = Literal["float", "integer", "boolean", "string"]
OutputKind = Literal["binary", "multiclass", "regression"]
Datatype = Literal["FP32", "FP64", "INT64", "BOOL", "BYTES"]


class FeatureSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named input. `minimum`/`maximum` are inclusive; `categories` closes a string's values."""

    name: str
    kind: FeatureKind
    required: bool = True
    nullable: bool = False
    default: float | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    pii: Literal["", "drop", "hash"] = ""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input tensor of the served model: the listed features, packed as columns `[rows, k]`.

    After preprocessing, `features` name the columns that its steps leave.
    """

    name: str
    datatype: Datatype
    features: tuple[str, ...]


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the answer is read from the output tensor `tensor`.

    binary: `[rows, 2]` probabilities or `[rows, 1]` probability of class 1;
    multiclass: `[rows, classes]` probabilities; regression: `[rows, 1]` values.
    """

    tensor: str
    datatype: Literal["FP32", "FP64"] = "FP32"
    kind: OutputKind = "binary"
    width: int = 2


class ModelSchema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Input features, their packing into tensors, and the output of one model version.

    `preprocessing` stands between features and tensors; most versions have none.
    """

    features: tuple[FeatureSpec, ...]
    tensors: tuple[TensorSpec, ...]
    output: OutputSpec
    preprocessing: tuple[Step, ...] = ()


class Labelling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Turns an output into a label; part of what an approval signs.

    `labels` maps the class index as a string ("0", "1", …) to its label; binary: class 1 when
    the probability is at least `threshold`.
    """

    labels: dict[str, str] = {}
    threshold: float = 0.5
