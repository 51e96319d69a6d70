"""The page of proofs names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/data-plane-proofs.md").read_text()
NAMED = re.compile(r"`((?:[a-z_]+/)*test_[a-z0-9_]+\.py)(?:::([a-z0-9_]+))?")


def place(path: str) -> Path:
    return ROOT / "tests" / re.sub(r"^gateway/", "dataplane/gateway/", path)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_page__each_proof_named__exists(path: str, name: str) -> None:
    assert f"def {name}" in place(path).read_text()
