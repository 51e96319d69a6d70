"""MurmurHash3 x86 32-bit: the hash of sklearn's FeatureHasher.

Source: A. Appleby's reference MurmurHash3_x86_32; public domain.
"""

_MASK = 0xFFFFFFFF
_C1, _C2 = 0xCC9E2D51, 0x1B873593


def murmur3_32(data: bytes, seed: int = 0) -> int:
    """The unsigned 32-bit hash of `data`; `seed` in 0..2**32 - 1."""
    whole = len(data) & ~3
    h = seed
    for at in range(0, whole, 4):
        h ^= _mixed(int.from_bytes(data[at : at + 4], "little"))
        h = (h << 13 | h >> 19) & _MASK
        h = (h * 5 + 0xE6546B64) & _MASK
    if whole < len(data):
        h ^= _mixed(int.from_bytes(data[whole:], "little"))
    return _finished(h ^ len(data))


def signed(value: int) -> int:
    """An unsigned 32-bit number read as two's complement."""
    return value - (1 << 32) if value >> 31 else value


def _mixed(k: int) -> int:
    k = k * _C1 & _MASK
    return (k << 15 | k >> 17) * _C2 & _MASK


def _finished(h: int) -> int:
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK
    return h ^ h >> 16
