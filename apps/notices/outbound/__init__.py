"""Calling addresses that users typed in: the one guarded way out of the control plane.

`deliver` resolves the name itself, refuses what is not of the public internet (or on the
operator's list), connects to the very address that it judged, follows no redirect, verifies TLS,
and bounds time and bytes. Whoever calls what a user configured calls this.
"""

from apps.notices.outbound.client import Reply, addresses_of, check, deliver
from apps.notices.outbound.policy import Policy, Refused
from apps.notices.outbound.wire import Unreachable

__all__ = ["Policy", "Refused", "Reply", "Unreachable", "addresses_of", "check", "deliver"]
