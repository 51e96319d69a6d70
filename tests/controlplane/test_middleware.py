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


@pytest.mark.parametrize("path", ["/", "/models/", "/audit/", "/sign-in/", "/administrators/"])
def test_policy__of_our_pages__allows_no_inline_code(path: str) -> None:
    assert "unsafe" not in policy_for(path)


@pytest.mark.parametrize("path", ["/admin/", "/api/docs/"])
def test_policy__of_borrowed_pages__is_relaxed_for_them_alone(path: str) -> None:
    assert "'unsafe-inline'" in policy_for(path)
    assert "default-src 'none'" in policy_for(path)
