"""Checks that a promotion goes by: each looks at one thing and says what it found, with figures.

This floor's own are registered in `apps.registry.checks.own`; upper floors register theirs when
they are ready, and a team's come as webhooks (`apps.registry.checks.hooks`).
"""

from apps.registry.checks.interface import (
    Check,
    CheckContext,
    CheckResult,
    named,
    register,
    registered,
    run_guarded,
)

__all__ = [
    "Check",
    "CheckContext",
    "CheckResult",
    "named",
    "register",
    "registered",
    "run_guarded",
]
