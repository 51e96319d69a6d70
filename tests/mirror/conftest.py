"""Fixtures of the mirror's tests."""

from tests.registry.conftest import free_port

__all__ = ["free_port"]
