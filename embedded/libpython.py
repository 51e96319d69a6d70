"""Finds libpython, which Triton's Python backend links and a Python may come without.

`python -m embedded.libpython` ends with status 1 where there is none: `make install` then lets
uv fetch a Python that has it.
"""

import sys
import sysconfig
from pathlib import Path

from embedded import places

PYTHON = "3.11"
NAME = f"libpython{PYTHON}.so.1.0"
SYSTEM = (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64"), Path("/usr/lib"))
FETCHED = places.CHECKOUT / ".bootstrap" / "python"


def directory() -> Path | None:
    """Where libpython lies: beside this interpreter, in the system, or as fetched by uv.

    All our environments are made from the same interpreter.
    """
    beside = Path(str(sysconfig.get_config_var("LIBDIR")))
    fetched = sorted(FETCHED.glob(f"cpython-{PYTHON}*/lib"))
    candidates = (beside, *SYSTEM, *fetched)
    return next((place for place in candidates if (place / NAME).exists()), None)


if __name__ == "__main__":
    sys.exit(0 if directory() else 1)
