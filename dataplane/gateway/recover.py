"""What stands behind a variant that fails: a stale entry, another variant, a default, else 503."""

import struct
from typing import NamedTuple

import structlog

from contracts.policy import DefaultPrediction
from dataplane.gateway.table import Endpoint, Variant
from serving.labels import Answer

log = structlog.get_logger()


class Standby(NamedTuple):
    """Another variant that answers; `same_input` = it takes the row as it is."""

    variant: Variant
    same_input: bool


class Default(NamedTuple):
    """An answer that no model gave, also as the output tensor would say it."""

    answer: Answer
    output: bytes


class Chain(NamedTuple):
    """The steps of one variant, in this order; those it does not have are None or False."""

    stale: bool
    standby: Standby | None
    default: Default | None


def compile_chain(endpoint: Endpoint, variant: Variant) -> Chain | None:
    """The chain behind a variant; None when nothing stands there."""
    spec = endpoint.spec.policy.fallback
    chain = Chain(
        stale=spec.stale and endpoint.spec.policy.cache is not None,
        standby=_standby(endpoint, variant, spec.variant),
        default=_default(variant, spec.default),
    )
    return chain if any(chain) else None


def _standby(endpoint: Endpoint, variant: Variant, key: str) -> Standby | None:
    other = endpoint.variant(key)
    if other is None or other is variant:
        return None
    if _shape(other) != _shape(variant):
        log.warning("fallback.output_differs", endpoint=endpoint.spec.name, variant=key)
        return None
    same = other.spec.schema.features == variant.spec.schema.features
    return Standby(other, same)


def _shape(variant: Variant) -> tuple[object, ...]:
    output = variant.spec.schema.output
    return output.kind, output.datatype, output.width


def _default(variant: Variant, spec: DefaultPrediction | None) -> Default | None:
    if spec is None:
        return None
    labels = {text: int(index) for index, text in variant.spec.labelling.labels.items()}
    index = labels.get(spec.label, -1)
    return Default(
        Answer(spec.prediction, index, spec.label, None), _tensor(variant, spec.prediction, index)
    )


def _tensor(variant: Variant, score: float, index: int) -> bytes:
    """One row `[width]` that reads as the default: class probabilities, or the value."""
    output = variant.spec.schema.output
    cells = [0.0] * output.width
    if output.kind == "multiclass" and 0 <= index < output.width:
        cells[index] = score
    elif output.kind == "binary" and output.width == 2:
        cells = [1.0 - score, score]
    else:
        cells[-1] = score
    return struct.pack(f"<{output.width}{'f' if output.datatype == 'FP32' else 'd'}", *cells)
