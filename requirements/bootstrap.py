"""Put the pinned uv into a private directory: `python3.11 requirements/bootstrap.py DIRECTORY`.

Standard library only. Where Debian's python3.11 comes without `ensurepip`, a pip that is on the
machine is used instead; where there is neither, it says what to do.
"""

import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("uv.txt")
PIP_OPTIONS = ("--quiet", "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS))


def main(target: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        version = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit(
            f"Switchyard needs Python 3.11, this is {version}: make PYTHON=/path/to/python3.11"
        )
    if importlib.util.find_spec("ensurepip"):
        venv.create(target, with_pip=True, clear=True)
        _run(target / "bin" / "python", "install")
    elif importlib.util.find_spec("pip"):
        venv.create(target, with_pip=False, clear=True)
        _run(Path(sys.executable), "--python", str(target / "bin" / "python"), "install")
    else:
        sys.exit(
            "This Python has neither ensurepip nor pip. Install one of them (Debian: "
            "python3-venv), or point PYTHON at another Python 3.11."
        )


def _run(python: Path, *arguments: str) -> None:
    command = (str(python), "-m", "pip", *arguments, *PIP_OPTIONS)
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        sys.exit("pip could not install uv: is the package index reachable?")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
