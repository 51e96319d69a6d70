"""The guardrail: this gateway withdraws a candidate by the evidence of all gateways.

With Redis away it goes by its own, and it needs no control plane. An override is written to disk,
outlives restarts and newer generations, and ends when a spec acknowledges it or leaves its rollout
behind.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from contracts.records import Failure
from contracts.routing import Guardrail, Override
from dataplane.gateway.evidence import PATIENCE_S, Finding, Key, Watch
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Table, rollouts_of
from dataplane.spool import PINNED

log = structlog.get_logger()

MAX_UNITS = 1_000_000


class Shared(Protocol):
    """The evidence of all gateways."""

    def post(self, finding: Finding) -> bool:
        """Tell the others; whether they can be reached at this moment."""

    def follow(self, keys: Iterable[Key]) -> None:
        """Read what is known of these guardrails, from the start."""


class Bound(NamedTuple):
    """A guardrail of the table, with what an override on its behalf says."""

    endpoint: Endpoint
    spec: Guardrail
    generation: int


class Guards:
    """Watches first failures and decides withdrawals. `withdraw` is called with each override.

    With `shared` evidence a failure counts when the stream that all gateways follow brings it, or
    after `PATIENCE_S` if it does not; without, and while Redis is away, at once.
    """

    def __init__(self, *, gateway: str, withdraw: Callable[[Override], None]) -> None:
        self._gateway = gateway
        self._withdraw = withdraw
        self._watches: dict[Key, Watch] = {}
        self._bound: dict[Key, Bound] = {}
        self._failed: dict[str, set[bytes]] = {}
        self.shared: Shared | None = None

    def observe(self, rows: Iterable[Row], at: float) -> list[Failure]:
        """First model-attributable failures among settled rows, in order; epoch seconds.

        Pinned rows say nothing about the designed split and are left out.
        """
        found: list[Failure] = []
        for row in rows:
            if row.failure is not None and row.blamed and not row.flags & PINNED:
                found += self._first_failures(row, at)
        return found

    def follow(self, table: Table) -> None:
        """Watch the guardrails of this table; drop the evidence of rollouts that it left."""
        present: set[str] = set()
        self._bound = {}
        for endpoint in table.endpoints.values():
            present |= rollouts_of(endpoint.spec)
            for spec in endpoint.spec.guardrails:
                bound = Bound(endpoint, spec, table.generation)
                self._bound[spec.rollout, spec.candidate] = bound
        self._failed = {key: units for key, units in self._failed.items() if key in present}
        self._watches = {
            key: self._watches.get(key) or Watch(bound.spec) for key, bound in self._bound.items()
        }
        if self.shared is not None:
            self.shared.follow(self._bound)

    def fold(self, findings: Iterable[Finding]) -> None:
        """Count units, each once. Where that is enough evidence, withdraw the candidate."""
        for finding in findings:
            watch = self._watches.get(finding.key)
            if watch is not None and watch.take(finding):
                self._crossed(self._bound[finding.key], watch)

    def _first_failures(self, row: Row, at: float) -> list[Failure]:
        spec = row.endpoint.spec
        return [
            _failure(row, at, rollout, self._look(row, rollout))
            for rollout in rollouts_of(spec)
            if self._is_first(rollout, row.unit)
        ]

    def _is_first(self, rollout: str, unit: bytes) -> bool:
        units = self._failed.setdefault(rollout, set())
        if unit in units or len(units) >= MAX_UNITS:
            return False
        units.add(unit)
        return True

    def _look(self, row: Row, rollout: str) -> float:
        """Tell the rollout's guardrails; the candidate's share, 0 without a guardrail."""
        share = 0.0
        for spec in row.endpoint.spec.guardrails:
            if spec.rollout == rollout and row.variant.key in (spec.candidate, spec.baseline):
                share = row.endpoint.share(spec)
                key = (spec.rollout, spec.candidate)
                self._tell(Finding(key, row.unit, row.variant.key == spec.candidate, share))
        return share

    def _tell(self, finding: Finding) -> None:
        """Share a finding. It waits for the stream's order only while the others can be heard."""
        if self.shared is not None and self.shared.post(finding):
            asyncio.get_running_loop().call_later(PATIENCE_S, self.fold, (finding,))
        else:
            self.fold((finding,))

    def _crossed(self, bound: Bound, watch: Watch) -> None:
        spec, endpoint = bound.spec, bound.endpoint
        override = Override(
            gateway=self._gateway,
            endpoint=endpoint.spec.name,
            rollout=spec.rollout,
            variant=spec.candidate,
            fallback_to=spec.baseline,
            wealth=watch.wealth.wealth,
            units=watch.wealth.units,
            generation=bound.generation,
            at=time.time(),
            reason=(
                f"error guardrail: wealth {watch.wealth.wealth:.4g} passed {1 / spec.alpha:.4g}"
            ),
        )
        if endpoint.is_bound_by(override):  # else somebody knows, and goes on
            self._withdraw(override)


def _failure(row: Row, at: float, rollout: str, share: float) -> Failure:
    return Failure(
        at=at,
        endpoint=row.variant.endpoint,
        rollout=rollout,
        phase=row.variant.phase,
        unit=row.unit.hex(),
        variant=row.variant.key,
        version=row.variant.spec.version,
        kind=row.failure or "internal",
        share=share,
    )


class Overrides:
    """The overrides in force, each in a file of its own.

    Processes on one port share the files: what one withdrew, each that starts withdraws.
    """

    def __init__(self, directory: Path, *, gateway: str) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = [each for each in map(_read, directory.glob("*.json")) if each]
        self._active = {each.key: replace(each, gateway=gateway) for each in found}

    @property
    def active(self) -> tuple[Override, ...]:
        """All in force."""
        return tuple(self._active.values())

    def add(self, override: Override) -> None:
        """Take an override into force."""
        self._active[override.key] = override

    def save(self, override: Override) -> None:
        """Write it down; survives a crash at any moment. Raises OSError."""
        path = self._path(override)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(override))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def drop_unbound(self, table: Table) -> tuple[Override, ...]:
        """Lift what the table acknowledges or has left behind, and return that."""
        if table.source == "none":
            return ()
        lifted = tuple(each for each in self.active if not _binds(each, table))
        for override in lifted:
            del self._active[override.key]
            self._path(override).unlink(missing_ok=True)
            log.info("override.lifted", endpoint=override.endpoint, override=override.key)
        return lifted

    def _path(self, override: Override) -> Path:
        name = hashlib.sha256(override.key.encode()).hexdigest()[:32]
        return self._directory / f"{name}.json"


def _binds(override: Override, table: Table) -> bool:
    endpoint: Endpoint | None = table.endpoints.get(override.endpoint)
    return endpoint is not None and endpoint.is_bound_by(override)


def _read(path: Path) -> Override | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Override)
    except (OSError, msgspec.DecodeError) as error:
        log.error("override.unreadable", path=str(path), error=str(error))
        return None
