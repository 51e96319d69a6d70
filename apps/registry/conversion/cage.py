"""Shuts its own process in, then runs one script; started by `sandbox.py`, never imported.

Stands alone: standard library only, in whatever environment the script needs. What is forbidden is
forbidden before the script's first line, for good and for whatever it starts:
- started by root: namespaces of its own with no network and no files but those it needs, and a
  user id that nobody else has; where that cannot be, root without any capability;
- Landlock: reads its own environment and its folder, writes nowhere but its work folder;
- seccomp: no socket, no other process, no exec, no tracing, no signal to others, none of the
  kernel's odder calls;
- limits of memory, processor time, open files and file sizes.
Without seccomp, or with neither a second user nor Landlock, it runs nothing: `REFUSED`.
"""

import ctypes
import json
import os
import resource
import runpy
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REFUSED = 97
FORBIDDEN_EXTRA_GROUPS: list[int] = []
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_THREAD = 0x20000, 0x08000000, 0x40000000, 0x10000
READ_ONLY, NO_SUID, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SYS_CAPSET, SYS_RULESET, SYS_RULE, SYS_RESTRICT = 126, 444, 445, 446

# Landlock's rights, by the version of its interface that brought them.
FILE_RIGHTS = (1 << 1) | (1 << 2)
READ_FILE, READ_DIR, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 14
NEWEST_RIGHT = {1: 12, 2: 13, 3: 14, 4: 14}
READS = READ_FILE | READ_DIR
WRITES = READS | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG

# System calls of x86-64 that answer "not permitted", by number.
X86_64, X32 = 0xC000003E, 0x40000000
DENIED = {
    "shared memory and queues": (29, 30, 31, 64, 68, 69, 70, 71, 220, 240, 319, 447),
    "sockets": (41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307),
    "processes": (57, 58, 59, 322, 101, 129, 200, 297, 310, 311, 312, 424, 434, 438, 440),
    "namespaces and mounts": (155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442),
    "keys, tracing, modules": (248, 249, 250, 298, 321, 323, 175, 176, 246, 313, 320),
    "io_uring and handles": (425, 426, 427, 303, 304),
    "the machine": (103, 135, 159, 163, 164, 167, 168, 169, 170, 171, 172, 173, 179, 227, 305),
}
CLONE, KILL, TGKILL, PRLIMIT, CLONE3 = 56, 62, 234, 302, 435
EPERM, ENOSYS = 1, 38
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, ABOVE, HAS_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16


def limit(limits: Mapping[str, int]) -> None:
    """Set resource limits by name ("AS", "CPU", …), never above those that hold already."""
    for name, most in {**limits, "CORE": 0}.items():
        what = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def leave_network() -> bool:
    """Enter a network namespace of its own; False where that is not allowed."""
    return os.geteuid() == 0 and LIBC.unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0


def leave_files(root: str, readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Make a root of the file system that holds these paths and nothing else, and enter it.

    `root` is an empty folder for it. False where that is not allowed.
    """
    if os.geteuid() != 0 or LIBC.unshare(CLONE_NEWNS) != 0:
        return False
    if _mount("", "/", "", RECURSIVE | PRIVATE) or _mount("tmpfs", root, "tmpfs", NO_SUID):
        return False
    os.chmod(root, 0o755)  # noqa: S103  # as every root of a file system
    for paths, flags in ((readable, READ_ONLY), (writable, 0)):
        for path in paths:
            _show(path, root, flags)
    os.chroot(root)
    os.chdir("/")
    return True


def _show(path: str, root: str, flags: int) -> None:
    """The path at the same place below the new root."""
    target = root + path
    if os.path.isdir(path):
        os.makedirs(target, 0o755, exist_ok=True)
    elif os.path.exists(path):
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT))
    else:
        return
    if _mount(path, target, "", BIND | RECURSIVE):
        raise OSError(ctypes.get_errno(), f"{path} cannot be shown")
    _mount("", target, "", BIND | REMOUNT | NO_SUID | flags)


def _mount(source: str, target: str, kind: str, flags: int) -> int:
    texts = (source.encode(), target.encode(), kind.encode())
    found: int = LIBC.mount(*texts, ctypes.c_ulong(flags), None)
    return found


def become(uid: int) -> bool:
    """Become a user that nobody else is; without one, root gives its capabilities up."""
    if uid:
        try:
            os.setgroups(FORBIDDEN_EXTRA_GROUPS)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:  # an id that this container's user namespace does not have
            uid = 0
    if not uid and os.geteuid() == 0:
        header = struct.pack("Ii", 0x20080522, 0)
        if LIBC.syscall(SYS_CAPSET, header, bytes(24)) != 0:
            raise OSError(ctypes.get_errno(), "the capabilities cannot be given up")
    return bool(uid)


def promise() -> None:
    """Never gain rights again, and end with the process that started this one."""
    parent = os.getppid()
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "new privileges cannot be ruled out")
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(REFUSED)


def confine(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Landlock: only these paths and what is below them; its version, 0 where there is none."""
    version: int = LIBC.syscall(SYS_RULESET, None, 0, 1)
    if version < 1:
        return 0
    files = (2 << NEWEST_RIGHT.get(version, 15)) - 1
    network, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = LIBC.syscall(SYS_RULESET, struct.pack("QQQ", files, network, scopes), size, 0)
    if ruleset < 0:
        return 0
    for path in readable:
        _allow(ruleset, path, READS & files)
    for path in writable:
        _allow(ruleset, path, (WRITES | TRUNCATE) & files)
    done = LIBC.syscall(SYS_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return version if done else 0


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine
        return
    if not os.path.isdir(path):
        rights &= FILE_RIGHTS | TRUNCATE
    LIBC.syscall(SYS_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def filter_calls() -> bool:
    """seccomp: forbid the system calls of DENIED, and some arguments of others."""
    if os.uname().machine != "x86_64":
        return False
    code = _program(os.getpid())
    instructions = b"".join(struct.pack("HBBI", *each) for each in code)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
    return bool(LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(program), 0, 0) == 0)


def _program(pid: int) -> list[tuple[int, int, int, int]]:
    """The filter in BPF: (operation, jump if true, jump if false, operand) each."""
    deny = (ANSWER, 0, 0, ERRNO | EPERM)
    load_number, load_argument = (LOAD, 0, 0, NUMBER_AT), (LOAD, 0, 0, FIRST_ARGUMENT_AT)
    code = [
        (LOAD, 0, 0, ARCH_AT),
        (EQUAL, 1, 0, X86_64),
        (ANSWER, 0, 0, KILL_PROCESS),
        load_number,
        (ABOVE, 0, 1, X32),
        deny,
    ]
    for number in sorted(number for group in DENIED.values() for number in group):
        code += [(EQUAL, 0, 1, number), deny]
    code += [(EQUAL, 0, 1, CLONE3), (ANSWER, 0, 0, ERRNO | ENOSYS)]
    code += [(EQUAL, 0, 3, CLONE), load_argument, (HAS_BIT, 1, 0, CLONE_THREAD), deny, load_number]
    for number, own in ((KILL, pid), (TGKILL, pid)):
        code += [(EQUAL, 0, 3, number), load_argument, (EQUAL, 1, 0, own), deny, load_number]
    code += [(EQUAL, 0, 4, PRLIMIT), load_argument, (EQUAL, 2, 0, 0), (EQUAL, 1, 0, pid), deny]
    return [*code, (ANSWER, 0, 0, ALLOW)]


def shut_in(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Apply all of it; what is in force. Exits with REFUSED where that is too little."""
    paths = spec["readable"], spec["writable"]
    network = spec["namespaces"] and leave_network()
    files = spec["namespaces"] and leave_files(spec["root"], *paths)
    limit(spec["limits"])
    user = become(spec["uid"] if files or spec["reachable"] else 0)
    if user:
        limit({"NPROC": spec["threads"]})
    promise()
    landlock = confine(*paths) if spec["landlock"] else 0
    calls = filter_calls() if spec["seccomp"] else False
    if not calls or not (user or landlock):
        sys.stderr.write("without seccomp" if not calls else "without second user and Landlock")
        sys.stderr.flush()
        os._exit(REFUSED)
    return {
        "second_user": user,
        "landlock": landlock,
        "seccomp": calls,
        "network_namespace": network,
        "own_root": files,
    }


def main() -> None:
    """Shut in, run the script's `main` with the order, write its answer to the answer's file."""
    spec = json.loads(sys.argv[1])
    order = json.load(sys.stdin)
    os.environ.update(spec["environment"])
    means = shut_in(spec)
    run: Callable[[Any], Any] = runpy.run_path(spec["script"])["main"]
    with os.fdopen(spec["answer"], "w") as answer:
        json.dump({"means": means, "answer": run(order)}, answer)


if __name__ == "__main__":
    main()
