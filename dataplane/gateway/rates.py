"""Buckets of clients in memory that all processes on one port see, so that their rates add up.

A file of fixed slots, mapped by every process; the parent empties it before it starts them. A
client's slot is found once, under a lock, and then read and written without one. Two processes
that admit rows of one client within the same microsecond may both read the number before either
has written it, and count one of the rows only: that, and nothing else, is let in too much.
"""

import fcntl
import mmap
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import xxhash

SLOTS = 16_384
_SLOT = 16  # a client's hash, and its number


class SharedBuckets(MutableMapping[str, float]):
    """When each client's bucket is full again, in seconds of the machine's monotonic clock.

    With all slots taken, a further client has a bucket of this process's own. Clients are never
    taken out of the file: the next start does it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), SLOTS * _SLOT)
        view = memoryview(self._map)
        self._hashes, self._numbers = view.cast("Q"), view.cast("d")
        self._slots: dict[str, int] = {}
        self._own: dict[str, float] = {}

    def __getitem__(self, client: str) -> float:
        slot = self._slots.get(client)
        if slot is None:
            slot = self._slots[client] = self._found(client)
        return self._numbers[slot] if slot else self._own[client]

    def __setitem__(self, client: str, full_at: float) -> None:
        slot = self._slots.get(client)
        if slot is None:
            slot = self._slots[client] = self._found(client)
        if slot:
            self._numbers[slot] = full_at
        else:
            self._own[client] = full_at

    def __delitem__(self, client: str) -> None:
        del self._slots[client]
        self._own.pop(client, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def close(self) -> None:
        """Let go of the file."""
        self._hashes.release()
        self._numbers.release()
        self._map.close()
        self._file.close()

    def _found(self, client: str) -> int:
        """Where the client's number stands; 0 when there is no room."""
        mark = xxhash.xxh3_64_intdigest(client.encode()) or 1
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            for step in range(SLOTS):
                at = 2 * ((mark + step) % SLOTS)
                if self._hashes[at] in (0, mark):
                    self._hashes[at] = mark
                    return at + 1
            return 0
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def empty(path: Path) -> None:
    """Make the file anew. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_bytes(bytes(SLOTS * _SLOT))
    fresh.replace(path)
