"""What Prometheus reads: few labels, counted per micro-batch, rendered on demand."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dataplane.gateway.batching import Call
from dataplane.gateway.problems import Refusal
from dataplane.gateway.replicas import Replica
from dataplane.gateway.table import Table, Variant

BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0)
Sample = tuple[str, str, float]
Family = tuple[str, str, Sequence[Sample]]  # name without our prefix, type, samples
_MIRRORED = ("endpoint", "version", "result")
_ROUTED = ("endpoint", "rule", "result")


class VariantStats:
    """Totals of one variant since the gateway started."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        self.latency = [0] * (len(BOUNDS_MS) + 1)
        self.latency_sum_ms = 0.0
        self.failed_ms = 0.0
        self.last_at = 0.0
        self.batches = 0
        self.batch_rows = 0


class Metrics:
    """Counts what happened; `render` takes what holds at the moment."""

    def __init__(self) -> None:
        self._stats: dict[tuple[str, str, str], VariantStats] = {}
        self._of: dict[Variant, VariantStats] = {}
        self._rejected: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[tuple[str, str, str]] = Counter()
        self._explained: Counter[tuple[str, str]] = Counter()
        self._explained_ms: defaultdict[str, float] = defaultdict(float)
        self._lookups: Counter[tuple[str, str]] = Counter()
        self._mirrored: Counter[tuple[str, ...]] = Counter()
        self._routed: Counter[tuple[str, ...]] = Counter()

    def answered(self, call: Call) -> None:
        """A micro-batch is settled."""
        if call.asked is not None:
            asked = self._stats_of(call.asked)
            asked.batches += call.calls
            asked.batch_rows += call.rows_sent
            asked.last_at = time.time()
        for row in call.rows:
            stats = self._stats_of(row.variant)
            stats.answers[row.error or "ok"] += 1
            if row.fallback:
                stats.fallbacks[row.fallback] += 1
            stats.latency[bisect_left(BOUNDS_MS, row.latency_ms)] += 1
            stats.latency_sum_ms += row.latency_ms
            if row.error:
                stats.failed_ms += row.latency_ms

    def looked_up(self, endpoint: str, result: str) -> None:
        """The features of a row were looked up."""
        self._lookups[endpoint, result] += 1

    def rejected(self, refusal: Refusal) -> None:
        """A request was refused. Features are the schema's: no client chooses a label."""
        endpoint = refusal.endpoint
        self._rejected[endpoint, refusal.reason] += 1
        for (kind, feature), times in refusal.faults.items():
            self._faults[endpoint, feature, kind] += times

    def of(self, endpoint: str, version: str) -> list[VariantStats]:
        """The totals of a version in an endpoint, in each role that it has had there."""
        return [stats for key, stats in self._stats.items() if key[:2] == (endpoint, version)]

    def explained(self, endpoint: str, result: str, latency_ms: float = 0.0) -> None:
        """An explanation was asked for: "ok", or why there is none. It is no prediction."""
        self._explained[endpoint, result] += 1
        self._explained_ms[endpoint] += latency_ms

    def mirrored(self, endpoint: str, version: str, result: str) -> None:
        """A row was mirrored to the shadow `version`, or could not be."""
        self._mirrored[endpoint, version, result] += 1

    def routed(self, endpoint: str, rule: str, result: str) -> None:
        """A rule of `endpoint` matched."""
        self._routed[endpoint, rule, result] += 1

    def forget_others(self, variants: set[Variant]) -> None:
        """Drop the short cut from variants that no table mentions; totals stay."""
        self._of = {variant: stats for variant, stats in self._of.items() if variant in variants}

    def render(
        self,
        table: Table,
        *,
        spool_bytes: int,
        dropped: int,
        connections: int,
        replicas: Sequence[Replica] = (),
        more: Sequence[Family] = (),
    ) -> bytes:
        """The exposition text."""
        gauges = (
            ("routing_generation", table.generation),
            ("routing_epoch", table.epoch),
            ("routing_endpoints", len(table.endpoints)),
            ("spool_bytes", spool_bytes),
            ("connections", connections),
            ("overrides", sum(len(each.overrides) for each in table.endpoints.values())),
        )
        lines: list[str] = []
        for name, value in gauges:
            lines += _family(f"switchyard_gateway_{name}", "gauge", [("", "", value)])
        lines += _family("switchyard_gateway_facts_dropped_total", "counter", [("", "", dropped)])
        serving = [("", _replica(each), int(each.health.state == "serving")) for each in replicas]
        lines += _family("switchyard_gateway_replica_serving", "gauge", serving)
        for name, kind, samples in more:
            lines += _family(f"switchyard_gateway_{name}", kind, samples)
        lines += self._counters()
        lines += _family("switchyard_gateway_latency_milliseconds", "histogram", self._histogram())
        return ("\n".join(lines) + "\n").encode()

    def _counters(self) -> list[str]:
        answers = [
            ("", _labels(key, result=result), count)
            for key, stats in self._stats.items()
            for result, count in stats.answers.items()
        ]
        fallbacks = [
            ("", _labels(key, fallback=name), count)
            for key, stats in self._stats.items()
            for name, count in stats.fallbacks.items()
        ]
        rejected = [
            ("", f'endpoint="{endpoint}",reason="{reason}"', count)
            for (endpoint, reason), count in self._rejected.items()
        ]
        faults = [
            ("", f'endpoint="{endpoint}",feature="{_escaped(feature)}",fault="{kind}"', count)
            for (endpoint, feature, kind), count in self._faults.items()
        ]
        lookups = [
            ("", f'endpoint="{endpoint}",result="{result}"', count)
            for (endpoint, result), count in self._lookups.items()
        ]
        explained = [
            ("", f'endpoint="{endpoint}",result="{result}"', count)
            for (endpoint, result), count in self._explained.items()
        ]
        spent = [
            ("", f'endpoint="{endpoint}"', round(ms, 3))
            for endpoint, ms in self._explained_ms.items()
        ]
        batches = [("", _labels(key), stats.batches) for key, stats in self._stats.items()]
        rows = [("", _labels(key), stats.batch_rows) for key, stats in self._stats.items()]
        prefix = "switchyard_gateway_"
        return [
            *_family(f"{prefix}predictions_total", "counter", answers),
            *_family(f"{prefix}fallbacks_total", "counter", fallbacks),
            *_family(f"{prefix}rejected_requests_total", "counter", rejected),
            *_family(f"{prefix}invalid_features_total", "counter", faults),
            *_family(f"{prefix}explanations_total", "counter", explained),
            *_family(f"{prefix}explanation_milliseconds_total", "counter", spent),
            *_family(f"{prefix}lookups_total", "counter", lookups),
            *_family(f"{prefix}shadow_rows_total", "counter", _counts(_MIRRORED, self._mirrored)),
            *_family(f"{prefix}routed_requests_total", "counter", _counts(_ROUTED, self._routed)),
            *_family(f"{prefix}batches_total", "counter", batches),
            *_family(f"{prefix}batch_rows_total", "counter", rows),
        ]

    def _histogram(self) -> Iterator[Sample]:
        for key, stats in self._stats.items():
            total = 0
            for bound, count in zip((*BOUNDS_MS, "+Inf"), stats.latency, strict=True):
                total += count
                yield "_bucket", _labels(key, le=str(bound)), total
            yield "_sum", _labels(key), round(stats.latency_sum_ms, 3)
            yield "_count", _labels(key), total

    def _stats_of(self, variant: Variant) -> VariantStats:
        stats = self._of.get(variant)
        if stats is None:
            key = (variant.endpoint, variant.spec.version, variant.key)
            stats = self._of[variant] = self._stats.setdefault(key, VariantStats())
        return stats


def _replica(replica: Replica) -> str:
    return f'entry="{replica.entry}",address="{replica.channel.address}"'


def _labels(key: tuple[str, str, str], **more: str) -> str:
    pairs = {"endpoint": key[0], "version": key[1], "variant": key[2], **more}
    return ",".join(f'{name}="{value}"' for name, value in pairs.items())


def _counts(names: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> Iterator[Sample]:
    """Counts by what `names` are, whose texts are free."""
    for key, count in counts.items():
        pairs = zip(names, map(_escaped, key), strict=True)
        yield "", ",".join(f'{name}="{value}"' for name, value in pairs), count


def _escaped(text: str) -> str:
    """A label's value: feature names may have any character."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(name: str, kind: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        lines.append(f"{name}{suffix}{{{labels}}} {value}" if labels else f"{name} {value}")
    return lines
