"""Every write of this app."""

from apps.mirror.services.deciding import accept, revert
from apps.mirror.services.hinting import take_hint
from apps.mirror.services.mirrors import (
    change_mirror,
    create_mirror,
    delete_mirror,
    pause_mirror,
    poll_mirror,
    resume_mirror,
)
from apps.mirror.services.sweeping import begin_sweeps, sweep
from apps.mirror.services.writing_back import begin_writing, owe, write_back

__all__ = [
    "accept",
    "begin_sweeps",
    "begin_writing",
    "change_mirror",
    "create_mirror",
    "delete_mirror",
    "owe",
    "pause_mirror",
    "poll_mirror",
    "resume_mirror",
    "revert",
    "sweep",
    "take_hint",
    "write_back",
]
