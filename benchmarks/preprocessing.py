"""What preparing a micro-batch costs: 32 rows of 50 features, with steps and without."""

import random
import time
from collections.abc import Callable

from contracts.preprocessing import Clip, Hash, Impute, Log, Onehot, Standardise, Step, outputs_of
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.packing import Row
from serving.validation import compile_schema

ROWS, NUMBERS, TEXTS = 32, 40, 10
RUNS, REPEATS = 10, 300
NUMERIC = tuple(f"x{number}" for number in range(NUMBERS))
CATEGORICAL = tuple(f"c{number}" for number in range(TEXTS))
CARRIERS = ("AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN")
FEATURES = (
    *(FeatureSpec(name=name, kind="float", required=False, nullable=True) for name in NUMERIC),
    *(FeatureSpec(name=name, kind="string") for name in CATEGORICAL),
)
SCALED: tuple[Step, ...] = (
    Impute(inputs=NUMERIC, values=(0.5,) * NUMBERS),
    Standardise(inputs=NUMERIC, mean=(0.1,) * NUMBERS, scale=(2.0,) * NUMBERS),
)
EVERYTHING: tuple[Step, ...] = (
    SCALED[0],
    Clip(inputs=NUMERIC, low=0.0, high=1e6),
    Log(inputs=NUMERIC),
    SCALED[1],
    Onehot(inputs=CATEGORICAL[:8], categories=(CARRIERS,) * 8, unknown="column"),
    Hash(inputs=CATEGORICAL[8:], buckets=32),
)


def packer(steps: tuple[Step, ...], columns: tuple[str, ...]) -> Callable[[list[Row]], object]:
    """Rows to one FP32 tensor of `columns`."""
    tensor = TensorSpec(name="x", datatype="FP32", features=columns)
    schema = ModelSchema(
        features=FEATURES,
        tensors=(tensor,),
        output=OutputSpec(tensor="p"),
        preprocessing=steps,
    )
    return compile_schema(schema).pack


def rows(*, gaps: float) -> list[Row]:
    """Random rows, a share of whose numbers is missing."""
    drawn = random.Random(1)
    return [
        (
            *(None if drawn.random() < gaps else drawn.random() for _ in NUMERIC),
            *(drawn.choice(CARRIERS) for _ in CATEGORICAL),
        )
        for _ in range(ROWS)
    ]


def best_us(pack: Callable[[list[Row]], object], batch: list[Row]) -> float:
    """Microseconds a batch: the best of some repeats, as other work only adds."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(RUNS):
            pack(batch)
        best = min(best, time.perf_counter() - start)
    return best / RUNS * 1e6


def main() -> None:
    """Print the figures, microseconds a batch."""
    whole, gappy = rows(gaps=0.0), rows(gaps=0.05)
    made = (*outputs_of(EVERYTHING[4]), *outputs_of(EVERYTHING[5]))
    everything = packer(EVERYTHING, (*NUMERIC, *made))
    print(f"pack_us={best_us(packer((), NUMERIC), whole):.0f}")
    print(f"pack_scaled_us={best_us(packer(SCALED, NUMERIC), whole):.0f}")
    print(f"pack_everything_us={best_us(everything, whole):.0f}")
    print(f"pack_everything_with_gaps_us={best_us(everything, gappy):.0f}")


if __name__ == "__main__":
    main()
