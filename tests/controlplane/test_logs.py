"""Logs are JSON lines without secrets."""

import json
import logging

import pytest
import structlog

from controlplane.logs import redact


@pytest.mark.parametrize("name", ["token", "api_key", "Authorization", "new_password", "secret"])
def test_redact__field_named_like_a_secret__not_shown(name: str) -> None:
    assert redact(None, "info", {name: "hunter2"}) == {name: "[redacted]"}


def test_redact__other_fields__kept() -> None:
    assert redact(None, "info", {"event": "token.issued", "name": "ci"}) == {
        "event": "token.issued",
        "name": "ci",
    }


def test_log__event_with_fields__one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.getLogger().handlers[0]
    record = logging.LogRecord("x", logging.INFO, "f", 1, "thing.done", None, None)
    line = json.loads(handler.format(record))
    assert (line["event"], line["level"]) == ("thing.done", "info")


def test_log__bound_correlation_id__is_on_every_line() -> None:
    with (
        structlog.testing.capture_logs(
            processors=[structlog.contextvars.merge_contextvars]
        ) as lines,
        structlog.contextvars.bound_contextvars(correlation_id="abc"),
    ):
        structlog.get_logger("test").info("thing.done")
    assert lines[0]["correlation_id"] == "abc"
