"""Whether one replica, an entry on one Triton, gets rows: pure, without clock or I/O.

    serving  gets rows
    out      gets none: three probes failed in a row, its connection broke under a call, or it
             said that it does not have the entry
    warming  answers probes again, and gets warm-up calls before it gets rows

A replica that the table names is trusted until it shows otherwise.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["serving", "out", "warming"]
# passed, failed: a probe. warmed: a warm-up call was answered. answered: a call with rows was.
# lost: the connection broke under a call, or the entry is not there.
Trigger = Literal["passed", "failed", "warmed", "answered", "lost"]

PROBES_FAILED = 3
WARM_UPS = 3


@dataclass(slots=True)
class Health:
    """The state and what counts towards the next one."""

    state: State = "serving"
    failures: int = 0
    warm_ups: int = 0

    def on(self, trigger: Trigger) -> bool:
        """Take in what happened; whether the state changed."""
        before = self.state
        if trigger == "lost":
            self.state = "out"
        elif trigger == "answered":
            self.state, self.failures = "serving", 0
        elif trigger == "failed":
            self._failed()
        elif trigger == "passed":
            self._passed()
        elif self.state == "warming":
            self._warmed()
        return self.state != before

    def _failed(self) -> None:
        self.failures += 1
        if self.state == "warming" or self.failures >= PROBES_FAILED:
            self.state = "out"

    def _passed(self) -> None:
        self.failures = 0
        if self.state == "out":
            self.state, self.warm_ups = "warming", 0

    def _warmed(self) -> None:
        self.warm_ups += 1
        if self.warm_ups >= WARM_UPS:
            self.state = "serving"
