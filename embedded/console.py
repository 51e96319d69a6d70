"""What a person sees while the platform starts and stops: one line per process."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn


class Report:
    """Lines as things happen; on a terminal also a bar with what is under way."""

    def __init__(self, *, total: int, doing: str) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._total = total
        self._doing = doing
        self._begun: dict[str, float] = {}
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._started_at = time.monotonic()

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar, where there is a terminal to show it on."""
        if not sys.stdout.isatty():
            yield
            return
        columns = (
            SpinnerColumn(),
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._console, transient=True) as self._progress:
            self._progress.add_task(self._doing, total=self._total)
            yield
        self._progress = None

    def begin(self, name: str) -> None:
        with self._lock:
            self._begun[name] = time.monotonic()
            self._refresh()

    def done(self, name: str, what: str, detail: str = "") -> None:
        with self._lock:
            seconds = time.monotonic() - self._begun.pop(name)
            self._console.print(f"  {name:<11} {what:<8} {seconds:5.1f} s   {detail}".rstrip())
            self._refresh(advance=1)

    def closing(self, what: str) -> None:
        seconds = time.monotonic() - self._started_at
        self._console.print(f"{what} in {seconds:.1f} s")

    def _refresh(self, *, advance: int = 0) -> None:
        if self._progress is not None:
            description = f"{self._doing} {', '.join(self._begun)}"
            self._progress.update(
                self._progress.task_ids[0], advance=advance, description=description
            )
