"""Where things lie on this machine."""

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
# Reachable by every account, and kept over a restart: for what runs as `nobody`.
SHARED = Path("/var/tmp")  # noqa: S108 - each place below is checked to be our own


def home() -> Path:
    """The state directory: SWITCHYARD_HOME, or .switchyard in the checkout."""
    return Path(os.environ.get("SWITCHYARD_HOME") or CHECKOUT / ".switchyard").resolve()


def postgres(home: Path) -> Path:
    """In the home; for root in a directory that `nobody` can reach, named after the home."""
    if os.geteuid() == 0:
        digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        return SHARED / f"switchyard-{digest}"
    return home / "postgres"


def environment(name: str) -> Path:
    """A side environment (`mlflow`, `triton`), made by `make install`."""
    return Path(os.environ.get("SWITCHYARD_ENVIRONMENTS") or CHECKOUT / ".venvs") / name
