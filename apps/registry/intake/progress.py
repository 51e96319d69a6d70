"""Telling how far the taking over of an artifact has come, and hearing that it is to stop."""

import time
from collections.abc import Callable

EVERY_S = 1.0
Write = Callable[[str, int, int], bool]


class Superseded(Exception):
    """Another worker has the work now, or it was cancelled: nothing more is to be written."""


class Progress:
    """Steps and bytes of one attempt.

    `write(step, done, total)` stores them and answers whether this attempt is still the current
    one. Bytes are written once a second at most.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._step, self._done, self._total = "", 0, 0
        self._written_at = 0.0

    def step(self, words: str, total: int = 0) -> None:
        """Begin a step, of `total` bytes where it moves any. Raises Superseded."""
        self._step, self._done, self._total = words, 0, total
        self._tell()

    def moved(self, count: int) -> None:
        """So many bytes more are done. Raises Superseded."""
        self._done += count
        if time.monotonic() - self._written_at >= EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self._written_at = time.monotonic()
        if not self._write(self._step, self._done, self._total):
            raise Superseded(self._step)
