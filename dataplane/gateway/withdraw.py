"""The local guardrail: this gateway withdraws a candidate on its own evidence.

It works with the control plane and Redis away. An override is written to disk, outlives restarts
and newer generations, and ends when a spec acknowledges it or leaves its rollout behind.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import structlog

from contracts.records import Failure
from contracts.routing import Guardrail, Override
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Table, rollouts_of
from dataplane.spool import PINNED
from serving import guardrail as evidence

log = structlog.get_logger()

MAX_UNITS = 1_000_000


class Watch:
    """The evidence of one rollout's guardrail, kept over steps: units by first failure."""

    def __init__(self, spec: Guardrail) -> None:
        self.wealth = evidence.Guardrail(alpha=spec.alpha, harm_ratio=spec.harm_ratio)
        self.tripped = False


class Guards:
    """Watches first failures and decides withdrawals. `withdraw` is called with each override."""

    def __init__(self, *, gateway: str, withdraw: Callable[[Override], None]) -> None:
        self._gateway = gateway
        self._withdraw = withdraw
        self._watches: dict[tuple[str, str], Watch] = {}
        self._failed: dict[str, set[bytes]] = {}

    def observe(self, rows: Iterable[Row], at: float) -> list[Failure]:
        """First model-attributable failures among settled rows, in order; epoch seconds.

        Pinned rows say nothing about the designed split and are left out.
        """
        found: list[Failure] = []
        for row in rows:
            if row.failure is not None and row.blamed and not row.flags & PINNED:
                found += self._first_failures(row, at)
        return found

    def forget_others(self, table: Table) -> None:
        """Drop the evidence of rollouts that the table no longer has."""
        present: set[str] = set()
        for endpoint in table.endpoints.values():
            present |= rollouts_of(endpoint.spec)
        self._failed = {key: units for key, units in self._failed.items() if key in present}
        self._watches = {key: each for key, each in self._watches.items() if key[0] in present}

    def _first_failures(self, row: Row, at: float) -> list[Failure]:
        spec = row.endpoint.spec
        return [
            _failure(row, at, rollout, self._look(row, rollout, at))
            for rollout in rollouts_of(spec)
            if self._is_first(rollout, row.unit)
        ]

    def _is_first(self, rollout: str, unit: bytes) -> bool:
        units = self._failed.setdefault(rollout, set())
        if unit in units or len(units) >= MAX_UNITS:
            return False
        units.add(unit)
        return True

    def _look(self, row: Row, rollout: str, at: float) -> float:
        """Feed the rollout's guardrails; the candidate's share, 0 without a guardrail."""
        share = 0.0
        for spec in row.endpoint.spec.guardrails:
            if spec.rollout == rollout and row.variant.key in (spec.candidate, spec.baseline):
                share = row.endpoint.share(spec)
                self._bet(row, spec, share, at)
        return share

    def _bet(self, row: Row, spec: Guardrail, share: float, at: float) -> None:
        watch = self._watches.setdefault((spec.rollout, spec.candidate), Watch(spec))
        wealth = watch.wealth.observe(row.variant.key == spec.candidate, share)
        if watch.wealth.crossed and not watch.tripped:
            watch.tripped = True
            self._withdraw(
                Override(
                    gateway=self._gateway,
                    endpoint=row.endpoint.spec.name,
                    rollout=spec.rollout,
                    variant=spec.candidate,
                    fallback_to=spec.baseline,
                    wealth=wealth,
                    units=watch.wealth.units,
                    generation=row.generation,
                    at=at,
                    reason=f"error guardrail: wealth {wealth:.4g} passed {1 / spec.alpha:.4g}",
                )
            )


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
    """The overrides in force, each in a file of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._active = {each.key: each for each in map(_read, directory.glob("*.json")) if each}

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
        temporary = path.with_suffix(".tmp")
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
