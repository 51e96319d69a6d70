"""Triton's model repository on local disk: what is desired, and whether what lies there is it."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from contracts import signing
from contracts.manifest import ENTRY_PATTERN, MANIFEST_PURPOSE, Manifest, ManifestFile
from contracts.signing import PublicKeys, SignedDocument
from dataplane.triton.config import EXPLAIN_RUNTIME, NATIVE_RUNTIME, PYTHON_RUNTIME
from dataplane.triton.source import digest_of

RUNTIME_FILE = Path(__file__).parent / "runtime" / "model.py"
EXPLAIN_FILE = RUNTIME_FILE.with_name("explain.py")
RUNTIME_PATH = "1/model.py"
# What the puller adds to an entry, by path: our own files, never the store's.
RUNTIMES: Mapping[str, Mapping[str, Path]] = {
    PYTHON_RUNTIME: {RUNTIME_PATH: RUNTIME_FILE},
    EXPLAIN_RUNTIME: {RUNTIME_PATH: EXPLAIN_FILE, "1/served.py": RUNTIME_FILE},
    NATIVE_RUNTIME: {},
}
CONFIG_PATH = "config.pbtxt"

_PATH = re.compile(
    r"config\.pbtxt|1/(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}/){0,4}[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CODE = (".py", ".pyc", ".so", ".sh")


class ManifestRefused(ValueError):
    """The document is not a manifest that this puller may act on."""


def is_entry_name(name: str) -> bool:
    """Whether `name` is "{model}-v{number}" or its explainer's, the only names taken here."""
    return re.fullmatch(ENTRY_PATTERN, name) is not None and "\n" not in name


def read_manifest(document: SignedDocument, entry: str, keys: PublicKeys) -> Manifest:
    """The signed manifest, if it is one for `entry` and every path in it is harmless.

    Raises ManifestRefused, with the reason in words.
    """
    try:
        manifest = signing.verify(document, Manifest, purpose=MANIFEST_PURPOSE, keys=keys)
    except (signing.SignatureError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ManifestRefused(str(error)) from error
    if not is_entry_name(entry) or manifest.entry != entry:
        raise ManifestRefused(f"the manifest is for {manifest.entry!r}, not {entry!r}")
    if manifest.runtime not in RUNTIMES:
        raise ManifestRefused(f"unknown runtime {manifest.runtime!r}")
    _check_paths(manifest.files)
    return manifest


def _check_paths(files: tuple[ManifestFile, ...]) -> None:
    paths = [file.path for file in files]
    if len(set(paths)) != len(paths) or CONFIG_PATH not in paths:
        raise ManifestRefused("the manifest needs config.pbtxt and each path once")
    for file in files:
        if not _PATH.fullmatch(file.path) or file.path.endswith(_CODE):
            raise ManifestRefused(f"path {file.path!r} is not allowed in an entry")
        if not _DIGEST.fullmatch(file.sha256) or file.size < 0:
            raise ManifestRefused(f"{file.path!r} has no proper digest and size")


class LocalRepository:
    """Triton's directory, and beside it what the puller keeps for itself.

    state/desired/{entry}  the signed documents of what should be loaded
    state/blobs/{entry}/{sha256}  files being fetched, named by the digest they must have
    state/staging/{entry}  an entry before it moves into place
    state/loaded/{entry}   the content that Triton was last seen to load
    """

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._desired = state / "desired"
        self._blobs = state / "blobs"
        self._staging = state / "staging"
        self._loaded = state / "loaded"
        for directory in (root, self._desired, self._blobs, self._staging, self._loaded):
            directory.mkdir(parents=True, exist_ok=True)

    def desired(self) -> dict[str, bytes]:
        """The encoded signed document of each desired entry."""
        return {
            path.name: path.read_bytes()
            for path in sorted(self._desired.iterdir())
            if is_entry_name(path.name)
        }

    def keep(self, entry: str, document: bytes) -> None:
        """Write down that `entry` is desired; survives a crash at any moment."""
        temporary = self._desired / f".{entry}"
        with temporary.open("wb") as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._desired / entry)

    def blob(self, entry: str, file: ManifestFile) -> Path:
        """Where `file` of `entry` is fetched to; what is half there stays for the next attempt."""
        (self._blobs / entry).mkdir(exist_ok=True)
        return self._blobs / entry / file.sha256

    def matches(self, manifest: Manifest) -> bool:
        """Whether the installed entry holds exactly the signed files and today's runtime."""
        home = self._root / manifest.entry
        expected = {file.path: file.sha256 for file in manifest.files}
        for path, file in RUNTIMES[manifest.runtime].items():
            expected[path] = digest_of(file)
        found = {
            str(path.relative_to(home)): path
            for path in home.rglob("*")
            if not path.is_dir() and "__pycache__" not in path.parts
        }
        return found.keys() == expected.keys() and all(
            not path.is_symlink() and digest_of(path) == expected[name]
            for name, path in found.items()
        )

    def install(self, manifest: Manifest) -> None:
        """Move the fetched files into place as one directory, with the fixed runtime."""
        staging = self._staging / manifest.entry
        shutil.rmtree(staging, ignore_errors=True)
        for file in manifest.files:
            target = staging / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.blob(manifest.entry, file), target)
        (staging / "1").mkdir(exist_ok=True)
        (self._loaded / manifest.entry).unlink(missing_ok=True)
        for path, source in RUNTIMES[manifest.runtime].items():
            shutil.copyfile(source, staging / path)
        self._discard(manifest.entry)
        staging.rename(self._root / manifest.entry)
        shutil.rmtree(self._blobs / manifest.entry, ignore_errors=True)

    def note_loaded(self, manifest: Manifest) -> None:
        """Write down that Triton loaded exactly this."""
        (self._loaded / manifest.entry).write_text(_content_digest(manifest))

    def was_loaded(self, manifest: Manifest) -> bool:
        """Whether exactly this is what Triton loaded last, if it still has the entry."""
        note = self._loaded / manifest.entry
        return note.exists() and note.read_text() == _content_digest(manifest)

    def remove(self, entry: str) -> None:
        """Forget that `entry` is desired, and its files."""
        (self._desired / entry).unlink(missing_ok=True)
        (self._loaded / entry).unlink(missing_ok=True)
        shutil.rmtree(self._blobs / entry, ignore_errors=True)
        self._discard(entry)

    def _discard(self, entry: str) -> None:
        """Take the entry out of Triton's sight in one rename, then delete it."""
        home, trash = self._root / entry, self._staging / f"{entry}.old"
        shutil.rmtree(trash, ignore_errors=True)
        if home.exists():
            home.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)


def _content_digest(manifest: Manifest) -> str:
    runtime = [digest_of(file) for file in RUNTIMES[manifest.runtime].values()]
    parts = (manifest.files, manifest.runtime, *runtime)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
