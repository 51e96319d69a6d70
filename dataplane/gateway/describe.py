"""What clients of the Open Inference Protocol ask about models, as the protocol's JSON has it.

The same documents answer over HTTP and, parsed into messages, over gRPC.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from dataplane.gateway.assign import pinned
from dataplane.gateway.clients import Key
from dataplane.gateway.decode import MAX_ROWS
from dataplane.gateway.metrics import Metrics, VariantStats
from dataplane.gateway.table import UNSERVED_ROLES, Endpoint, Table, Variant
from dataplane.gateway.tensors import Inputs, inputs_of, output_specs

SERVER = {
    "name": "switchyard",
    "version": "2",
    "extensions": ["binary_tensor_data", "model_configuration", "parameters", "statistics"],
}
PLATFORM = "switchyard"
Document = dict[str, Any]


def described(endpoint: Endpoint, version: str) -> Variant:
    """The variant that stands for the endpoint: the version asked for, else the first served.

    Raises Refusal 404 or 409.
    """
    return pinned(endpoint, version) if version else served(endpoint)[0]


def served(endpoint: Endpoint) -> Sequence[Variant]:
    """The variants that clients may be answered by; all, where every one is a shadow."""
    return [each for each in endpoint.variants if each.spec.role not in UNSERVED_ROLES] or (
        endpoint.variants
    )


def metadata(endpoint: Endpoint, variant: Variant) -> Document:
    """Names, types and shapes of a model's tensors."""
    inputs = inputs_of(variant.schema).declared
    return {
        "name": endpoint.spec.name,
        "versions": _versions(endpoint),
        "platform": PLATFORM,
        "inputs": [
            {"name": each.name, "datatype": each.datatype, "shape": [-1, len(each.features)]}
            for each in inputs
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1, width]}
            for name, (datatype, width) in output_specs(variant).items()
        ],
    }


def config(endpoint: Endpoint, variant: Variant) -> Document:
    """Triton's model configuration; `max_batch_size` is the most rows of one request."""
    inputs = inputs_of(variant.schema)
    limits = variant.limits
    return {
        "name": endpoint.spec.name,
        "platform": PLATFORM,
        "backend": "",
        "max_batch_size": MAX_ROWS,
        "input": [_configured_input(inputs, number) for number in range(len(inputs.declared))],
        "output": [
            {"name": name, "data_type": _config_type(datatype), "dims": [width]}
            for name, (datatype, width) in output_specs(variant).items()
        ],
        "dynamic_batching": {
            "preferred_batch_size": [limits.max_batch],
            "max_queue_delay_microseconds": limits.max_delay_ms * 1_000,
        },
    }


def statistics(endpoints: Iterable[Endpoint], version: str, metrics: Metrics) -> Document:
    """What this gateway has answered since it started, per model and version.

    Rows are inferences, micro-batches executions; times run from the request's arrival to its
    answer and are cumulated, in nanoseconds. Raises Refusal 404 or 409 for an unknown version.
    """
    found = []
    for endpoint in endpoints:
        variants = [pinned(endpoint, version)] if version else served(endpoint)
        for label, spec_version in {each.label: each.spec.version for each in variants}.items():
            stats = metrics.of(endpoint.spec.name, spec_version)
            found.append({"name": endpoint.spec.name, "version": label, **_totals(stats)})
    return {"model_stats": found}


def index(table: Table, key: Key) -> list[Document]:
    """The models that this client may ask, and their versions in service."""
    return [
        {"name": endpoint.spec.name, "version": version, "state": "READY", "reason": ""}
        for endpoint in allowed(table, key)
        for version in _versions(endpoint)
    ]


def allowed(table: Table, key: Key) -> list[Endpoint]:
    """The endpoints that this client may ask, by name."""
    names = sorted(table.endpoints.keys() & key.endpoints if key.endpoints else table.endpoints)
    return [table.endpoints[name] for name in names]


def _versions(endpoint: Endpoint) -> list[str]:
    return sorted({variant.label for variant in served(endpoint)})


def _configured_input(inputs: Inputs, number: int) -> Document:
    tensor = inputs.declared[number]
    return {
        "name": tensor.name,
        "data_type": _config_type(tensor.datatype),
        "dims": [len(tensor.features)],
        "optional": inputs.may_lack(tensor),
    }


def _config_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _totals(stats: Sequence[VariantStats]) -> Document:
    answered = sum(each.answers["ok"] for each in stats)
    failed = sum(sum(each.answers.values()) for each in stats) - answered
    failed_ms = sum(each.failed_ms for each in stats)
    all_ms = sum(each.latency_sum_ms for each in stats)
    return {
        "last_inference": int(max((each.last_at for each in stats), default=0.0) * 1_000),
        "inference_count": answered,
        "execution_count": sum(each.batches for each in stats),
        "inference_stats": {
            "success": {"count": answered, "ns": _nanoseconds(all_ms - failed_ms)},
            "fail": {"count": failed, "ns": _nanoseconds(failed_ms)},
        },
    }


def _nanoseconds(milliseconds: float) -> int:
    return max(0, round(milliseconds * 1e6))
