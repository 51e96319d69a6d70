"""Structured logs: one JSON line an event, secrets never among the fields."""

import logging
from collections.abc import Mapping

import structlog
from structlog.typing import EventDict, WrappedLogger

# Each says a line a request or a line a tick; what fails is told at a higher level.
_CHATTY = ("axes", "httpx", "botocore", "celery.beat", "celery.worker.strategy", "celery.app.trace")
_SECRET = ("token", "password", "secret", "authorization", "api_key")


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of any field whose name says that it is a secret."""
    for name in event:
        if any(word in name.lower() for word in _SECRET):
            event[name] = "[redacted]"
    return event


def configure(settings: Mapping[str, str]) -> None:
    """Set up the standard library's logging and structlog alike (Django's LOGGING_CONFIG)."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.get("level", "INFO"))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
