"""What TRAIN_COMMAND is in this example: train one version of `flights` and log it to MLflow.

`MLFLOW_TRACKING_URI=… python -m examples.ci.train v2` prints the run's id as its last line.
"""

import os
import sys

from threadpoolctl import threadpool_limits

from examples.flights.data import arrived, load_flights
from examples.flights.register import git_commit, register
from examples.flights.train import RECIPES, TRAINING_MONTHS, train


def main() -> int:
    """0 when the run is logged."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "v1"
    recipe = next(one for one in RECIPES if one.name == wanted)
    with threadpool_limits(1):
        model = train(recipe, arrived(load_flights(TRAINING_MONTHS)))
    uri = os.environ["MLFLOW_TRACKING_URI"]
    logged = register(model, tracking_uri=uri, commit=os.environ.get("COMMIT_SHA") or git_commit())
    print(logged.run_id)
    return 0


if __name__ == "__main__":
    sys.exit(main())
