"""What shadows said beside what was served, added up by second and segment."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from contracts.records import Comparison
from dataplane.recorder.binning import latency_bins, tally
from dataplane.recorder.segments import Contents
from dataplane.spool import Compared

OK = "ok"
MOST = 1e100  # a shift whose square can still be added up
Key = tuple[int, str, str, str, str]
Floats = npt.NDArray[np.float64]


def comparisons_of(contents: Contents) -> tuple[Comparison, ...]:
    """One for each second, endpoint, shadow version, baseline version and segment."""
    groups: dict[Key, list[Compared]] = defaultdict(list)
    for found in contents.comparisons:
        for row in found.rows:
            for segment in ("", *row.segments):
                groups[_key(contents, found.at, row.served, row.shadow, segment)].append(row)
    dropped: Tally[Key] = Tally()
    for lost in contents.unmirrored:
        dropped[_key(contents, lost.at, lost.served, lost.shadow, "")] += lost.count
    return tuple(
        _comparison(key, groups.get(key, ()), dropped[key]) for key in sorted({*groups, *dropped})
    )


def _key(contents: Contents, at: float, served: int, shadow: int, segment: str) -> Key:
    baseline, candidate = contents.contexts[served], contents.contexts[shadow]
    return int(at), baseline.endpoint, candidate.version, baseline.version, segment


def _comparison(key: Key, rows: Sequence[Compared], dropped: int) -> Comparison:
    second, endpoint, shadow, baseline, segment = key
    both = [row for row in rows if row.status == OK]
    labelled = [row.agrees for row in both if row.agrees is not None]
    shifts = _shifts(both)
    times = np.array(list(_times(both)), dtype=np.float64).reshape(-1, 2)
    delays = times[:, 1] - times[:, 0]
    return Comparison(
        second=second,
        endpoint=endpoint,
        shadow=shadow,
        baseline=baseline,
        segment=segment,
        rows=len(both),
        labelled=len(labelled),
        agreements=sum(labelled),
        shift_sum=float(shifts.sum()),
        shift_squares=float((shifts**2).sum()),
        shifts=tally(latency_bins(np.abs(shifts))),
        timed=len(times),
        delay_sum_ms=float(delays.sum()),
        delay_squares=float((delays**2).sum()),
        baseline_latency=tally(latency_bins(times[:, 0])),
        shadow_latency=tally(latency_bins(times[:, 1])),
        errors=dict(Tally(row.status for row in rows if row.status != OK)),
        dropped=dropped,
    )


def _shifts(rows: Sequence[Compared]) -> Floats:
    found = np.array([row.shadow_score - row.served_score for row in rows], dtype=np.float64)
    return np.clip(found, -MOST, MOST)


def _times(rows: Sequence[Compared]) -> Iterator[tuple[float, float]]:
    """Milliseconds of both calls, of rows for which both models were called."""
    for row in rows:
        if row.served_ms is not None and row.shadow_ms is not None:
            yield row.served_ms, row.shadow_ms
