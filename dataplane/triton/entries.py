"""Keeps one Triton serving what the control plane signed, through restarts of everything else.

A desired entry goes fetching -> verifying -> loading -> ready, or failed with the reason. What is
desired is on disk before it is acknowledged; what is loaded is re-verified from local disk and
loaded again whenever Triton or the puller comes back, with the object store away.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog

from contracts import signing
from contracts.manifest import EntryState, Manifest, ManifestFile
from contracts.signing import PublicKeys, SignedDocument
from dataplane.triton.config import EXPLAIN_RUNTIME
from dataplane.triton.control import LoadFailed, LoadInterrupted, TritonAway, TritonControl
from dataplane.triton.repository import LocalRepository, ManifestRefused, read_manifest
from dataplane.triton.settings import PullerSettings
from dataplane.triton.source import (
    Cancelled,
    ContentRefused,
    ObjectSource,
    SourceAway,
    SourceMissing,
)

log = structlog.get_logger()

MISSING_ATTEMPTS = 5
FIRST_BACKOFF_S = 0.5
LOAD_ATTEMPTS = 2


class StaleManifest(ValueError):
    """The document is older than the one that this puller already has for the entry."""


@dataclass
class Desired:
    """One desired entry and how far it is."""

    manifest: Manifest
    state: str = "fetching"
    fetched: int = 0
    error: str = ""
    since: float = field(default_factory=time.time)
    cancelled: threading.Event = field(default_factory=threading.Event)
    task: asyncio.Task[None] | None = None

    def enter(self, state: str, error: str = "") -> None:
        """Take `state`; one log line per transition."""
        if state != self.state:
            self.state, self.since = state, time.time()
            log.info("entry.state_changed", entry=self.manifest.entry, state=state, error=error)
        self.error = error

    def report(self) -> EntryState:
        """What others are told."""
        total = sum(file.size for file in self.manifest.files)
        done = 1.0 if self.state in ("loading", "ready") else self.fetched / max(total, 1)
        return EntryState(
            entry=self.manifest.entry,
            state=self.state,
            progress=round(min(done, 1.0), 4),
            error=self.error,
            since=self.since,
        )


class Puller:
    """The entries that one Triton should serve. All methods run on one event loop."""

    def __init__(
        self,
        settings: PullerSettings,
        *,
        keys: PublicKeys,
        repository: LocalRepository,
        source: ObjectSource,
        triton: TritonControl,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._repository = repository
        self._source = source
        self._triton = triton
        self._entries: dict[str, Desired] = {}
        self._one_load = asyncio.Lock()
        self._one_explainer = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self.triton_ready = False

    async def start(self) -> None:
        """Take up what was desired before, and watch Triton."""
        for entry, body in self._repository.desired().items():
            try:
                manifest = read_manifest(signing.decode(body), entry, self._keys)
            except (ManifestRefused, msgspec.DecodeError) as error:
                log.error("entry.refused", entry=entry, error=str(error))
                continue
            self._begin(Desired(manifest, state="verifying"))
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End every task; nothing on disk changes."""
        tasks = [entry.task for entry in self._entries.values() if entry.task]
        for entry in self._entries.values():
            entry.cancelled.set()
        for task in [*tasks, *filter(None, [self._watcher])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def put(self, entry: str, document: SignedDocument) -> EntryState:
        """Desire `entry` as signed. The same manifest again is no work, unless it failed.

        Raises ManifestRefused or StaleManifest.
        """
        manifest = read_manifest(document, entry, self._keys)
        present = self._entries.get(entry)
        same = present is not None and _same_content(present.manifest, manifest)
        if present and manifest.issued_at < present.manifest.issued_at:
            if same:
                return present.report()
            raise StaleManifest(f"a newer manifest for {entry} is in place")
        self._repository.keep(entry, signing.encode(document))
        if present and same and present.state != "failed":
            present.manifest = manifest
            return present.report()
        return self._begin(Desired(manifest)).report()

    async def delete(self, entry: str) -> bool:
        """Unload `entry` and forget it; False when it is not known. Raises TritonAway."""
        present = self._entries.get(entry)
        if present is None:
            return False
        present.cancelled.set()
        await self._end(present)
        await asyncio.to_thread(self._triton.unload, entry)
        if self._entries.get(entry) is not present:
            return True  # desired again in the meantime
        del self._entries[entry]
        self._repository.remove(entry)
        log.info("entry.removed", entry=entry)
        return True

    def get(self, entry: str) -> EntryState | None:
        """How far `entry` is."""
        present = self._entries.get(entry)
        return present.report() if present else None

    def all(self) -> list[EntryState]:
        """How far every entry is, by name."""
        return [self._entries[name].report() for name in sorted(self._entries)]

    def _begin(self, desired: Desired) -> Desired:
        """Start bringing `desired` up, after what still runs for an earlier manifest ended."""
        earlier = self._entries.get(desired.manifest.entry)
        if earlier:
            earlier.cancelled.set()
        self._entries[desired.manifest.entry] = desired
        desired.task = asyncio.create_task(self._bring_up(desired, earlier))
        return desired

    async def _end(self, earlier: Desired | None) -> None:
        if earlier and earlier.task and earlier.task is not asyncio.current_task():
            await asyncio.wait([earlier.task])

    async def _bring_up(self, desired: Desired, earlier: Desired | None) -> None:
        await self._end(earlier)
        try:
            await self._ensure_local(desired)
            await self._load(desired)
        except Cancelled:
            return
        except (ContentRefused, SourceMissing, LoadFailed) as error:
            desired.enter("failed", str(error))
        except Exception as error:  # the task's edge: a full disk, say, fails this entry alone
            log.exception("entry.crashed", entry=desired.manifest.entry)
            desired.enter("failed", f"{type(error).__name__}: {error}")

    async def _ensure_local(self, desired: Desired) -> None:
        """Fetch, verify and install the entry, unless exactly this lies there already."""
        manifest = desired.manifest
        if await asyncio.to_thread(self._repository.matches, manifest):
            return
        desired.enter("fetching")
        for file in manifest.files:
            attempt = partial(self._fetch, desired, file, desired.fetched)
            await self._with_backoff(desired, attempt)
        desired.enter("verifying")
        await asyncio.to_thread(self._repository.install, manifest)
        if not await asyncio.to_thread(self._repository.matches, manifest):
            raise ContentRefused("the installed entry is not what was signed")

    def _fetch(self, desired: Desired, file: ManifestFile, fetched_before: int) -> None:
        def arrived(size: int) -> None:
            desired.fetched += size

        desired.fetched = fetched_before
        path = self._repository.blob(desired.manifest.entry, file)
        self._source.fetch(file, path, cancelled=desired.cancelled, progress=arrived)

    async def _with_backoff(self, desired: Desired, attempt: Callable[[], None]) -> None:
        """Run `attempt` in a thread until it succeeds or fails for good."""
        pause, missing = FIRST_BACKOFF_S, 0
        while True:
            try:
                return await asyncio.to_thread(attempt)
            except SourceMissing:
                missing += 1
                if missing >= MISSING_ATTEMPTS:
                    raise
            except SourceAway as error:
                desired.enter("fetching", str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, self._settings.puller_backoff_max_s)
            if desired.cancelled.is_set():
                raise Cancelled(desired.manifest.entry)

    async def _load(self, desired: Desired) -> None:
        """Load through Triton, one entry at a time to spare the latency of those that serve.

        Explainers, which take seconds, go after the versions that could be loaded now.
        """
        explains = desired.manifest.runtime == EXPLAIN_RUNTIME
        desired.enter("loading")
        failures = 0
        while not desired.cancelled.is_set():
            if explains and self._versions_wait:
                await asyncio.sleep(self._settings.puller_probe_s)
                continue
            try:
                async with self._one_explainer if explains else self._one_load:
                    await asyncio.to_thread(self._ask_to_load, desired.manifest)
                return desired.enter("ready")
            except (LoadFailed, LoadInterrupted) as error:
                failures += 1
                if failures >= LOAD_ATTEMPTS:
                    raise LoadFailed(str(error)) from error
                desired.enter("loading", str(error))
            except TritonAway as error:
                desired.enter("loading", str(error))
            await asyncio.sleep(self._settings.puller_probe_s)
        raise Cancelled(desired.manifest.entry)

    @property
    def _versions_wait(self) -> bool:
        """Whether a version is on disk and not loaded yet."""
        return any(
            each.state in ("verifying", "loading")
            for each in self._entries.values()
            if each.manifest.runtime != EXPLAIN_RUNTIME
        )

    def _ask_to_load(self, manifest: Manifest) -> None:
        """Load, unless Triton outlived this process and still has exactly this.

        Triton takes the bytecode that Python writes beside `model.py` for a change, so asking it
        again would reload a model that serves.
        """
        kept = self._repository.was_loaded(manifest)
        if kept and manifest.entry in self._triton.ready_entries():
            return
        self._triton.load(manifest.entry)
        self._repository.note_loaded(manifest)

    async def _watch(self) -> None:
        """Look at Triton again and again; what it lost is verified and loaded anew."""
        while True:
            try:
                loaded = await asyncio.to_thread(self._triton.ready_entries)
                self.triton_ready = True
                self._reload_missing(loaded)
            except TritonAway as error:
                self._note_away(str(error))
            await asyncio.sleep(self._settings.puller_probe_s)

    def _reload_missing(self, loaded: frozenset[str]) -> None:
        for name, desired in list(self._entries.items()):
            if desired.state == "ready" and name not in loaded:
                log.info("entry.reload", entry=name)
                self._begin(Desired(desired.manifest, state="loading"))

    def _note_away(self, error: str) -> None:
        if self.triton_ready:
            log.warning("triton.away", error=error)
        self.triton_ready = False
        for desired in list(self._entries.values()):
            if desired.state == "ready":
                self._begin(Desired(desired.manifest, state="loading", error=error))


def _same_content(one: Manifest, other: Manifest) -> bool:
    return (one.files, one.runtime) == (other.files, other.runtime)
