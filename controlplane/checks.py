"""System checks: settings that would fail later, and less clearly, fail at boot."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from apps.accounts import oidc
from apps.events.errors import Invalid
from contracts import signing
from controlplane.config import Config

SEED_BYTES = 32
SHORTEST_SECRET = 32
TAG = "switchyard"
URLS = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss", "unix"),
    "celery_broker_url": ("redis", "rediss"),
    "s3_endpoint_url": ("http", "https"),
    "mlflow_tracking_uri": ("http", "https"),
    "puller_url": ("http", "https"),
    "gateway_url": ("http", "https"),
    "web_url": ("http", "https"),
}
OWNERSHIP = """
SELECT r.rolsuper, pg_catalog.pg_get_userbyid(c.relowner) = r.rolname
FROM pg_roles r LEFT JOIN pg_class c ON c.oid = to_regclass('events_event')
WHERE r.rolname = %s
"""


def validate() -> None:
    """Run every check of this product. Raises ImproperlyConfigured with all errors."""
    found = run_checks(tags=[TAG], databases=["default"])
    errors = [message for message in found if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("\n".join(str(message) for message in errors))


@register(TAG)
def check_keys(**_: Any) -> list[CheckMessage]:
    """Keys decode, belong together, and the one that signs is among those that are trusted."""
    config: Config = settings.CONFIG
    try:
        seed = base64.b64decode(config.routing_signing_key.get_secret_value(), validate=True)
        private = Ed25519PrivateKey.from_private_bytes(seed)
    except (binascii.Error, ValueError):
        return [_error("E001", "ROUTING_SIGNING_KEY", f"is not base64 of {SEED_BYTES} bytes")]
    try:
        trusted = signing.parse_public_keys(config.routing_public_keys)
    except ValueError as error:
        return [_error("E002", "ROUTING_PUBLIC_KEYS", f"is not key_id:base64[,…]: {error}")]
    own = trusted.get(config.routing_key_id)
    if own is None or own.public_bytes_raw() != private.public_key().public_bytes_raw():
        problem = f"does not hold the public half of ROUTING_SIGNING_KEY as {config.routing_key_id}"
        return [_error("E003", "ROUTING_PUBLIC_KEYS", problem)]
    return []


@register(TAG)
def check_urls(**_: Any) -> list[CheckMessage]:
    """Addresses have a scheme that we speak, and a host."""
    return list(_bad_urls(settings.CONFIG))


@register(TAG)
def check_production(**_: Any) -> list[CheckMessage]:
    """What is convenient in a demo is refused in production."""
    config: Config = settings.CONFIG
    if config.switchyard_env != "production":
        return []
    found: list[CheckMessage] = []
    if config.debug:
        found.append(_error("E020", "DEBUG", "is on in production"))
    if len(config.django_secret_key.get_secret_value()) < SHORTEST_SECRET:
        found.append(_error("E021", "DJANGO_SECRET_KEY", f"has under {SHORTEST_SECRET} characters"))
    if not config.secure_cookies:
        found.append(_error("E022", "SECURE_COOKIES", "is off in production: serve over HTTPS"))
    if "*" in config.allowed_hosts:
        found.append(_error("E023", "ALLOWED_HOSTS", "lets every host name in"))
    return found


@register(TAG)
def check_identity_provider(**_: Any) -> list[CheckMessage]:
    """What is said of the identity provider can be read, and its answers cannot be forged."""
    config: Config = settings.CONFIG
    found: list[CheckMessage] = []
    try:
        oidc.parse_group_roles(config.oidc_group_roles)
    except Invalid as error:
        found.append(_error("E040", "OIDC_GROUP_ROLES", error.detail))
    if not config.oidc_issuer:
        return found
    issuer = urlsplit(config.oidc_issuer)
    if issuer.scheme != "https" and issuer.hostname not in ("127.0.0.1", "localhost", "::1"):
        found.append(_error("E041", "OIDC_ISSUER", "is not https://"))
    if not (config.oidc_client_id and config.oidc_client_secret):
        found.append(_error("E042", "OIDC_CLIENT_ID", "and OIDC_CLIENT_SECRET are not both set"))
    return found


@register(TAG, Tags.database)
def check_database_role(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The role of DATABASE_URL must be unable to touch the event log's triggers."""
    if "default" not in (databases or ()) or settings.ENVIRONMENT_NAME == "test":
        return []
    role = urlsplit(settings.CONFIG.database_url.get_secret_value()).username
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(OWNERSHIP, [role])
            row = cursor.fetchone()
    except DatabaseError as error:
        return [Warning(f"DATABASE_URL: the database is away: {error}", id="switchyard.W030")]
    superuser, owner = row or (False, False)
    if superuser:
        return [_error("E031", "DATABASE_URL", f"{role} is a superuser")]
    if owner:
        problem = f"{role} owns the event log: use a role that owns nothing, and keep the owner's"
        return [_error("E032", "DATABASE_URL", f"{problem} in DATABASE_OWNER_URL")]
    return []


def _bad_urls(config: Config) -> Iterator[CheckMessage]:
    for field, schemes in URLS.items():
        value = getattr(config, field)
        if value is None:
            continue
        text = value if isinstance(value, str) else value.get_secret_value()
        # The text itself may hold a password: it is never shown.
        try:
            parts = urlsplit(text)
            sound = parts.scheme in schemes and bool(parts.hostname or parts.path)
            sound = sound and (parts.port is None or parts.port > 0)
        except ValueError:
            sound = False
        if not sound:
            expected = " or ".join(f"{scheme}://" for scheme in schemes)
            yield _error("E010", field.upper(), f"is not an address that starts with {expected}")


def _error(number: str, name: str, problem: str) -> Error:
    return Error(
        f"{name} {problem}", hint=f"Set {name} and start again.", id=f"switchyard.{number}"
    )
