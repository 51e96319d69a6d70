"""Where mail goes, from one address."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

BACKENDS = "django.core.mail.backends"
PORTS = {"smtp": 587, "smtps": 465}


class MailServer(NamedTuple):
    """Django's EMAIL_… settings."""

    backend: str
    folder: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    use_tls: bool = False
    use_ssl: bool = False


def mail_server(url: SecretStr | None, *, home: Path) -> MailServer:
    """Read `smtp://user:password@host:587?tls=starttls`, `smtps://…` or `console:`.

    None or empty means one file a message under `home`/mail. Raises ValueError for anything else.
    """
    if url is None or not url.get_secret_value():
        return MailServer(f"{BACKENDS}.filebased.EmailBackend", folder=str(home / "mail"))
    parts = urlsplit(url.get_secret_value())
    if parts.scheme == "console":
        return MailServer(f"{BACKENDS}.console.EmailBackend")
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("EMAIL_URL is smtp://…, smtps://… or console:")
    return MailServer(
        f"{BACKENDS}.smtp.EmailBackend",
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_tls=parse_qs(parts.query).get("tls") == ["starttls"],
        use_ssl=parts.scheme == "smtps",
    )
