"""Where things lie on this machine."""

import hashlib
import os
import stat
from pathlib import Path

from embedded.errors import EmbeddedError

CHECKOUT = Path(__file__).resolve().parent.parent
# Reachable by every account, and kept over a restart: for what runs as `nobody`.
SHARED = Path("/var/tmp")  # noqa: S108 - each place below is checked to be our own


def home() -> Path:
    """The state directory: SWITCHYARD_HOME, or .switchyard in the checkout."""
    return Path(os.environ.get("SWITCHYARD_HOME") or CHECKOUT / ".switchyard").resolve()


def postgres(home: Path) -> Path:
    """In the home; for root in a directory that `nobody` can reach, named after the home."""
    return SHARED / f"switchyard-{_digest(home)}" if os.geteuid() == 0 else home / "postgres"


def short(home: Path) -> Path:
    """A directory of our own with a short path, for a socket; named after the home."""
    place = SHARED / f"switchyard-run-{os.geteuid()}-{_digest(home)}"
    place.mkdir(mode=0o700, exist_ok=True)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedError(f"{place} belongs to someone else")
    return place


def environment(name: str) -> Path:
    """A side environment (`mlflow`, `triton`), made by `make install`."""
    return Path(os.environ.get("SWITCHYARD_ENVIRONMENTS") or CHECKOUT / ".venvs") / name


def _digest(home: Path) -> str:
    return hashlib.sha256(str(home).encode()).hexdigest()[:12]
