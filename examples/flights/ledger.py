"""The story's ledger: what each step expected, what was seen, and how long it took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

import httpx

from examples.flights.client import Refused

POLL_S = 0.25
T = TypeVar("T")


class Deviation(Exception):
    """Something else was seen than the story expects."""


@dataclass(frozen=True)
class Entry:
    """One finished step; `seconds` is its duration."""

    step: str
    expected: str
    seen: str
    seconds: float
    as_expected: bool


@dataclass
class Step:
    """A step under way: `see` says what was seen, `require` ends the step if it is not so."""

    name: str
    expected: str
    seen: list[str] = field(default_factory=list)

    def see(self, text: str) -> None:
        self.seen.append(text)

    def require(self, condition: bool, otherwise: str) -> None:
        """Deviation with the text `otherwise` unless the condition holds."""
        if not condition:
            raise Deviation(otherwise)


class Ledger:
    """Runs steps, tells them line by line, and prints the table at the end."""

    def __init__(self, *, out: TextIO = sys.stdout) -> None:
        self.entries: list[Entry] = []
        self._out = out
        self._began = time.monotonic()

    @property
    def as_expected(self) -> bool:
        """Whether every step so far ended as the story expects."""
        return all(entry.as_expected for entry in self.entries)

    @property
    def seconds(self) -> float:
        """Since the ledger was opened."""
        return time.monotonic() - self._began

    def tell(self, text: str) -> None:
        """One line with the time since the start."""
        print(f"{self.seconds:7.1f}s  {text}", file=self._out, flush=True)

    @contextmanager
    def step(self, name: str, *, expected: str) -> Iterator[Step]:
        """One row of the table; a Deviation inside is written down and raised again."""
        self.tell(name)
        began = time.monotonic()
        step = Step(name, expected)
        try:
            yield step
        except Deviation as deviation:
            self._enter(step, str(deviation), began, as_expected=False)
            raise
        except (httpx.HTTPError, Refused) as error:
            self._enter(step, str(error), began, as_expected=False)
            raise Deviation(str(error)) from error
        self._enter(step, "; ".join(step.seen) or "as expected", began, as_expected=True)

    def table(self) -> str:
        """Step, expected, seen, seconds; deviations are marked."""
        lines = []
        for number, entry in enumerate(self.entries, start=1):
            mark = "ok  " if entry.as_expected else "FAIL"
            lines.append(f"{mark} {number:2}. {entry.step}  ({entry.seconds:.1f} s)")
            lines.append(f"          expected  {entry.expected}")
            lines.append(f"          seen      {entry.seen}")
        return "\n".join(lines)

    def _enter(self, step: Step, seen: str, began: float, *, as_expected: bool) -> None:
        seconds = time.monotonic() - began
        self.entries.append(Entry(step.name, step.expected, seen, seconds, as_expected))
        self.tell(f"  {'->' if as_expected else 'DEVIATION:'} {seen}")


def watch(
    probe: Callable[[], T],
    *,
    until: Callable[[T], bool],
    describe: Callable[[T], str],
    tell: Callable[[str], None],
    timeout_s: float,
) -> T:
    """Ask `probe` until it is right, telling each change of its description once.

    Deviation with the last description when `timeout_s` have passed.
    """
    deadline = time.monotonic() + timeout_s
    told = ""
    while True:
        state = probe()
        text = describe(state)
        if text != told:
            tell(f"  {text}")
            told = text
        if until(state):
            return state
        if time.monotonic() > deadline:
            raise Deviation(f"after {timeout_s:.0f} s still: {text}")
        time.sleep(POLL_S)
