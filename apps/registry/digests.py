"""Names of contents: equal values have equal digests, whoever makes them. Pure."""

import hashlib

import msgspec


def digest_of(value: object) -> str:
    """SHA-256 hex of a JSON-able value in canonical form: equal values give equal digests."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def signed_digest_of(content: str, evidence: str, terms: str) -> str:
    """What an approval signs: content, frozen evidence and policy, by their digests.

    Approvals of before evidence and terms were signed are of the content alone.
    """
    if not (evidence and terms):
        return content
    return digest_of({"content": content, "evidence": evidence, "terms": terms})
