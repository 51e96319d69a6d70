"""`python -m dataplane.triton.puller`: the process beside one Triton."""

import uvicorn

from contracts.signing import parse_public_keys
from dataplane.triton.api import PullerApi
from dataplane.triton.control import TritonControl
from dataplane.triton.entries import Puller
from dataplane.triton.repository import LocalRepository
from dataplane.triton.settings import PullerSettings
from dataplane.triton.source import ObjectSource


def build(settings: PullerSettings) -> PullerApi:
    """The application with everything that it talks to."""
    puller = Puller(
        settings,
        keys=parse_public_keys(settings.routing_public_keys),
        repository=LocalRepository(settings.triton_repository, settings.state),
        source=ObjectSource(settings),
        triton=TritonControl(
            settings.triton_url,
            settings.triton_control_key,
            settings.puller_load_timeout_s,
            settings.triton_grpc_url,
        ),
    )
    return PullerApi(puller, settings.puller_token)


def main() -> None:
    """Serve until SIGTERM."""
    settings = PullerSettings()
    host, port = settings.listen
    uvicorn.run(
        build(settings), host=host, port=port, lifespan="on", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
