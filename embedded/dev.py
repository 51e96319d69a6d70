"""`python -m embedded.dev [--s3] [--triton] [--mlflow] FILE`: stores for work by hand.

Starts Postgres and Valkey (and what is asked for) on free ports, writes `export NAME=value`
lines to FILE (0600), and stays until it is stopped; nothing is kept. With `--run COMMAND …`
instead of FILE it runs one command in that environment and ends with the command's status.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

from embedded import private
from embedded.files import write_private


def main() -> int:
    arguments = _parser().parse_args()
    private.sweep()
    services = private.PrivateServices()
    try:
        _start(services, arguments)
        if arguments.run:
            return _run(arguments.run, services.environment())
        _stay(arguments.file, services.environment())
        return 0
    finally:
        services.stop()


def _start(services: private.PrivateServices, arguments: argparse.Namespace) -> None:
    services.start_postgres()
    services.start_valkey()
    if arguments.s3 or arguments.mlflow:
        services.start_s3()
    if arguments.triton:
        services.start_triton()
    if arguments.mlflow:
        services.start_mlflow()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("file", type=Path, nargs="?", help="where to write the export lines")
    target.add_argument("--run", nargs=argparse.REMAINDER, help="a command to run instead")
    for part in ("s3", "triton", "mlflow"):
        parser.add_argument(f"--{part}", action="store_true", help=f"start {part} as well")
    return parser


def _run(command: list[str], values: dict[str, str]) -> int:
    return subprocess.run(command, env={**os.environ, **values}, check=False).returncode


def _stay(file: Path, values: dict[str, str]) -> None:
    _write(file, values)
    print(f"ready: source {file}", flush=True)
    _wait()


def _write(file: Path, values: dict[str, str]) -> None:
    lines = (f"export {name}={shlex.quote(text)}\n" for name, text in values.items())
    write_private(file, "".join(lines))


def _wait() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
