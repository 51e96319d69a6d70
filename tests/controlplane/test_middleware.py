"""Headers that every answer carries."""

import pytest
from django.test import Client

from controlplane.middleware import policy_for


def test_answer__each__has_a_strict_policy_and_no_framing(client: Client) -> None:
    answer = client.get("/healthz")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/audit/", "/sign-in/", "/administrators/", "/api/docs/"])
def test_policy__of_our_pages__allows_no_inline_code(path: str) -> None:
    assert "unsafe" not in policy_for(path)


def test_policy__of_the_admin__runs_no_inline_script_either() -> None:
    policy = dict(part.split(" ", 1) for part in policy_for("/admin/").split("; "))
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert policy["default-src"] == "'none'"
