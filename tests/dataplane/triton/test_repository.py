"""What a puller may act on, and how it tells that the local files are what was signed."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import signing
from contracts.manifest import Manifest, ManifestFile
from contracts.signing import parse_public_keys
from dataplane.triton.repository import LocalRepository, ManifestRefused, read_manifest
from tests.dataplane.triton.conftest import PUBLIC_KEYS, manifest, signed

KEYS = parse_public_keys(PUBLIC_KEYS)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def file(path: str, *, sha256: str = EMPTY, size: int = 0) -> ManifestFile:
    return ManifestFile(path=path, sha256=sha256, size=size, key=f"triton/m-v1/{path}")


CONFIG = file("config.pbtxt")


def installed(tmp_path: Path) -> tuple[LocalRepository, Manifest, Path]:
    repository = LocalRepository(tmp_path / "r", tmp_path / "s")
    wanted = manifest("m-v1", [CONFIG, file("1/model.onnx")])
    for each in wanted.files:
        repository.blob("m-v1", each).touch()
    repository.install(wanted)
    return repository, wanted, tmp_path / "r" / "m-v1"


def test_manifest__signed_for_this_entry__read() -> None:
    wanted = manifest("m-v1", [CONFIG])
    assert read_manifest(signed(wanted), "m-v1", KEYS) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "../m-v2/config.pbtxt",
        "/etc/passwd",
        "1/../../x",
        "1/model.py",
        "1/lib.so",
        "1/sub/../model.onnx",
        "1//model.onnx",
        "2/model.onnx",
        "1/.hidden",
        "1/model.onnx\n",
        "",
    ],
)
def test_manifest__path_not_of_an_entry__refused(path: str) -> None:
    document = signed(manifest("m-v1", [CONFIG, file(path)]))
    with pytest.raises(ManifestRefused, match="not allowed"):
        read_manifest(document, "m-v1", KEYS)


@pytest.mark.parametrize("entry", ["m-v2", "../m-v1", "M-v1", "m", "m-v1\n"])
def test_manifest__for_another_or_malformed_entry__refused(entry: str) -> None:
    with pytest.raises(ManifestRefused, match="not"):
        read_manifest(signed(manifest("m-v1", [CONFIG])), entry, KEYS)


@pytest.mark.parametrize(
    "files",
    [
        [],
        [CONFIG, CONFIG],
        [file("1/model.onnx")],
        [CONFIG, file("1/model.onnx", sha256="ABC")],
        [CONFIG, file("1/model.onnx", size=-1)],
    ],
)
def test_manifest__incomplete__refused(files: list[ManifestFile]) -> None:
    with pytest.raises(ManifestRefused):
        read_manifest(signed(manifest("m-v1", files)), "m-v1", KEYS)


def test_manifest__by_a_stranger__refused() -> None:
    stranger = Ed25519PrivateKey.generate()
    document = signing.sign(
        manifest("m-v1", [CONFIG]), purpose="manifest", key_id="primary", private_key=stranger
    )
    with pytest.raises(ManifestRefused, match="bad signature"):
        read_manifest(document, "m-v1", KEYS)


def test_manifest__signed_for_another_purpose__refused() -> None:
    document = signed(manifest("m-v1", [CONFIG]), purpose="routing-index")
    with pytest.raises(ManifestRefused, match="routing-index"):
        read_manifest(document, "m-v1", KEYS)


def test_repository__installed_entry__matches_with_the_fixed_runtime(tmp_path: Path) -> None:
    repository, wanted, home = installed(tmp_path)
    assert repository.matches(wanted)
    assert (home / "1" / "model.py").read_text().startswith('"""Runs the `model.onnx`')


@pytest.mark.parametrize("path", ["config.pbtxt", "1/model.onnx", "1/model.py"])
def test_repository__changed_file__no_longer_matches(tmp_path: Path, path: str) -> None:
    repository, wanted, home = installed(tmp_path)
    (home / path).write_text("tampered")
    assert not repository.matches(wanted)


def test_repository__added_file__no_longer_matches(tmp_path: Path) -> None:
    repository, wanted, home = installed(tmp_path)
    (home / "1" / "more.py").touch()
    assert not repository.matches(wanted)


def test_repository__symbolic_link_in_place_of_a_file__no_longer_matches(tmp_path: Path) -> None:
    repository, wanted, home = installed(tmp_path)
    (home / "1" / "model.onnx").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", home / "1" / "model.onnx")
    assert not repository.matches(wanted)


def test_repository__kept_document__is_desired_until_removed(tmp_path: Path) -> None:
    repository = LocalRepository(tmp_path / "r", tmp_path / "s")
    repository.keep("m-v1", b"document")
    assert repository.desired() == {"m-v1": b"document"}
    repository.remove("m-v1")
    assert repository.desired() == {}
