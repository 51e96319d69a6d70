"""Units leave the gateway only as keyed hashes, the same on every ingress."""

import hashlib

CACHE_SIZE = 100_000
DIGEST_BYTES = 16


class UnitHasher:
    """Keyed BLAKE2b of a unit, 16 bytes, with a bounded cache for units that come back."""

    def __init__(self, key: str) -> None:
        self._key = bytes.fromhex(key)
        self._known: dict[str, bytes] = {}

    def digest(self, unit: str) -> bytes:
        """The unit's hash, remembered."""
        known = self._known.get(unit)
        if known is None:
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            known = self._known[unit] = self.passing(unit)
        return known

    def passing(self, unit: str) -> bytes:
        """The hash of a unit that will not come back."""
        return hashlib.blake2b(unit.encode(), key=self._key, digest_size=DIGEST_BYTES).digest()
