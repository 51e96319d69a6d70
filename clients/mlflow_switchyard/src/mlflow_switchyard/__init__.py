"""`mlflow deployments -t switchyard`: MLflow's deployments interface over Switchyard's REST API.

MLflow finds this module by its entry point and takes the one client class and the two functions.
"""

from mlflow_switchyard.client import SwitchyardClient
from mlflow_switchyard.naming import HELP
from mlflow_switchyard.rest import Refused

__all__ = ["Refused", "SwitchyardClient", "run_local", "target_help"]


def target_help() -> str:
    """What `mlflow deployments help -t switchyard` prints."""
    return HELP


def run_local(
    target: str,
    name: str,
    model_uri: str,
    flavor: str | None = None,
    config: dict[str, str] | None = None,
) -> None:
    """There is no local variant: `make up` starts the whole platform on one machine."""
    raise Refused("Switchyard runs as a whole: start it with `make up` and create there")
