"""What a Triton may load: a signed list of files with their digests."""

import msgspec

MANIFEST_PURPOSE = "manifest"
ENTRY_PATTERN = r"^[a-z0-9][a-z0-9-]{0,79}-v[0-9]{1,9}(-explain)?$"


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the entry: path inside it, SHA-256 hex, size in bytes, key in the S3 bucket."""

    path: str
    sha256: str
    size: int
    key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One model-repository entry. `runtime` names the fixed runtime that the puller adds itself."""

    entry: str
    version: str
    runtime: str
    files: tuple[ManifestFile, ...]
    issued_at: float


class EntryState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the puller says about an entry; progress is 0..1 of bytes fetched."""

    entry: str
    state: str
    progress: float = 0.0
    error: str = ""
    since: float = 0.0
