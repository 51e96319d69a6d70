"""The queue of each variant, kept over changes of the table while anything uses it."""

from collections.abc import Callable

import msgspec

from dataplane.gateway.batching import Batcher, Finish, Prepare, Queue
from dataplane.gateway.ensemble import EnsembleBatcher
from dataplane.gateway.replicas import Channels
from dataplane.gateway.table import Variant
from dataplane.gateway.triton import Model


class Batchers:
    """One batcher per distinct backend and limits, kept over table changes while in use."""

    def __init__(
        self,
        channels: Channels,
        *,
        finish: Finish,
        max_in_flight: int,
        preparing: Callable[[Variant], Prepare | None] = lambda _: None,
    ) -> None:
        self._channels = channels
        self._finish = finish
        self._max_in_flight = max_in_flight
        self._preparing = preparing
        self._queues: dict[Variant, Queue] = {}
        self._shared: dict[object, Queue] = {}

    def of(self, variant: Variant) -> Queue:
        """The variant's queue, made on first use. Raises SchemaError."""
        queue = self._queues.get(variant)
        return queue if queue is not None else self._bind(variant)

    def keep_only(self, variants: set[Variant]) -> None:
        """Forget what no table mentions any more; calls under way finish on their own."""
        self._queues = {v: queue for v, queue in self._queues.items() if v in variants}
        used = set(map(id, self._queues.values()))
        self._shared = {key: queue for key, queue in self._shared.items() if id(queue) in used}

    @property
    def idle(self) -> bool:
        """Whether no row is waiting or under way."""
        return all(queue.idle for queue in self._shared.values())

    def _bind(self, variant: Variant) -> Queue:
        key = (_backend(variant), variant.spec.ensemble, tuple(map(_backend, variant.members)))
        queue = self._shared.get(key)
        if queue is None:
            queue = self._shared[key] = self._made(variant)
        self._queues[variant] = queue
        return queue

    def _made(self, variant: Variant) -> Queue:
        if variant.members:
            return EnsembleBatcher(variant, make=self._batcher, finish=self._finish)
        return self._batcher(variant, self._finish)

    def _batcher(self, variant: Variant, finish: Finish) -> Batcher:
        """The variant's own model, whatever else it is part of."""
        replicas = self._channels.replicas_of(variant.spec.entry, variant.spec.addresses)
        return Batcher(
            variant,
            Model(variant, replicas),
            finish=finish,
            max_in_flight=self._max_in_flight,
            prepare=self._preparing(variant),
        )


def _backend(variant: Variant) -> tuple[object, ...]:
    """What variants have in common that may share a queue."""
    spec = variant.spec
    labelling = msgspec.json.encode(spec.labelling, order="sorted")
    backend = (spec.entry, spec.addresses, spec.schema, labelling)
    return (*backend, variant.limits, variant.policy.lookup)
