"""The secrets of one installation: generated once, kept in a file only its owner can read."""

import base64
import hashlib
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from embedded.files import write_private

FILE = "secrets.env"


def load_or_create(home: Path) -> dict[str, str]:
    """Read `secrets.env`, adding what is missing; the file has mode 0600."""
    path = home / FILE
    known = _read(path)
    complete = {**generate(), **known}
    if complete != known:
        write_private(path, "".join(f"{name}={value}\n" for name, value in complete.items()))
    return {**complete, **_derived(complete["ROUTING_SIGNING_KEY"])}


def fresh() -> dict[str, str]:
    """A complete set that is kept nowhere, for tests."""
    values = generate()
    return {**values, **_derived(values["ROUTING_SIGNING_KEY"])}


def generate() -> dict[str, str]:
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "POSTGRES_OWNER_PASSWORD": secrets.token_hex(16),
        "POSTGRES_APP_PASSWORD": secrets.token_hex(16),
        "POSTGRES_MLFLOW_PASSWORD": secrets.token_hex(16),
        "VALKEY_PASSWORD": secrets.token_hex(16),
        "S3_ACCESS_KEY_ID": "switchyard" + secrets.token_hex(5),
        "S3_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "ROUTING_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "UNIT_HASH_KEY": secrets.token_hex(32),
        "TRITON_CONTROL_KEY": secrets.token_hex(16),
        "PULLER_TOKEN": secrets.token_urlsafe(24),
        "METRICS_TOKEN": secrets.token_urlsafe(24),
    }


def _derived(signing_key: str) -> dict[str, str]:
    seed = base64.b64decode(signing_key)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = hashlib.sha256(public).hexdigest()[:8]
    return {
        "ROUTING_KEY_ID": key_id,
        "ROUTING_PUBLIC_KEYS": f"{key_id}:{base64.b64encode(public).decode()}",
    }


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return dict(pairs)


if __name__ == "__main__":
    # `python -m embedded.credentials > .env` for docker-compose.yml.
    print("\n".join(f"{name}={value}" for name, value in fresh().items()))
