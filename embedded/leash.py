"""Become the command described in a JSON file, tied to the life of the process that started us.

Run by supervisord as `python -I -S leash.py FILE`; FILE has command, env, cwd, user and
death_signal. Secrets stay out of supervisord's configuration, and nothing outlives a supervisord
that is killed: the kernel then sends `death_signal`.
"""

import ctypes
import json
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(file: str) -> None:
    order = json.loads(Path(file).read_text())
    os.chdir(order["cwd"])
    if order["user"]:
        _become(order["user"])
    # After the change of account, which would clear it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, order["death_signal"])
    os.execve(order["command"][0], order["command"], order["env"])  # noqa: S606 - our own file


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main(sys.argv[1])
