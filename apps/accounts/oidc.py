"""Signing in with an OpenID Connect provider: settings, claims, and ID tokens that are verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import jwt
import structlog
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.access import HUMAN_ROLES, Role
from apps.accounts.errors import PermissionDenied
from apps.events.errors import Invalid

log = structlog.get_logger(__name__)
PROVIDER = "oidc"
# Signatures that a provider's public key proves; a shared secret or none at all never do.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
LEEWAY_S = 30


@dataclass(frozen=True)
class TeamRole:
    """A role in a team, by its key."""

    team_key: str
    role: Role


@dataclass(frozen=True)
class Claims:
    """What the provider says of a person."""

    subject: str
    username: str
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    groups: frozenset[str]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read the ID token, and what it leaves out from the userinfo endpoint.

        Raises PermissionDenied when the two are of different people.
        """
        token, info = data.get("id_token") or {}, data.get("userinfo") or {}
        if info and info.get("sub") != token.get("sub"):
            raise PermissionDenied("the provider's answers are of two different people")
        claims = {**info, **token}
        email = str(claims.get("email") or "")
        name, _, rest = str(claims.get("name") or "").partition(" ")
        groups = claims.get(settings.CONFIG.oidc_groups_claim) or ()
        return cls(
            subject=str(claims.get("sub") or ""),
            username=str(claims.get("preferred_username") or email.partition("@")[0]),
            email=email,
            email_verified=claims.get("email_verified") is True,
            first_name=str(claims.get("given_name") or name),
            last_name=str(claims.get("family_name") or rest),
            groups=frozenset([groups] if isinstance(groups, str) else map(str, groups)),
        )

    def require_allowed(self) -> None:
        """Raise PermissionDenied unless OIDC_ALLOWED_DOMAINS lets this person in."""
        domains = {name.strip().lower() for name in settings.CONFIG.oidc_allowed_domains.split(",")}
        domains.discard("")
        domain = self.email.rpartition("@")[2].lower()
        if domains and not (self.email_verified and domain in domains):
            raise PermissionDenied(
                f"{self.email or 'an account without an e-mail address'} may not sign in here: "
                f"it takes a verified address at {', '.join(sorted(domains))}"
            )


class VerifyingAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # has no types
    """Verifies the signature of every ID token, also of those that came straight from the provider.

    The standard lets one skip it behind TLS; a proxy that ends TLS early is reason enough not to.
    """

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Where the provider sends people back to: under WEB_URL, whatever a Host header says."""
        path = reverse("openid_connect_callback", kwargs={"provider_id": self.provider_id})
        return f"{settings.CONFIG.web_url.rstrip('/')}{path}"

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        """The claims. Raises OAuth2Error unless key, issuer, audience and times are right."""
        try:
            found: dict[str, Any] = jwt.decode(
                id_token,
                self._key_of(id_token),
                algorithms=ALGORITHMS,
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"the ID token is not sound: {error}") from error
        if self.openid_config["issuer"].rstrip("/") != app.settings["server_url"].rstrip("/"):
            raise OAuth2Error("the discovery document names another issuer")
        return found

    def _key_of(self, id_token: str) -> jwt.PyJWK:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
        wanted = jwt.get_unverified_header(id_token).get("kid")
        for key in jwt.PyJWKSet.from_dict(answer.json()).keys:
            if key.key_id == wanted:
                return key
        raise OAuth2Error(f"the provider has no key {wanted!r}")


class Provider(OpenIDConnectProvider):  # type: ignore[misc]  # has no types
    """The provider, asked by way of `VerifyingAdapter`."""

    oauth2_adapter_class = VerifyingAdapter


def provider(request: HttpRequest) -> Provider | None:
    """The provider of the settings, for this request; None without one."""
    app = application()
    return Provider(request, app=app) if app else None


def configured() -> str:
    """What the button on the sign-in page says; "" without a provider."""
    config = settings.CONFIG
    return config.oidc_name if config.oidc_issuer and config.oidc_client_id else ""


def application() -> SocialApp | None:
    """The provider of the settings, as allauth knows one."""
    config = settings.CONFIG
    if not configured():
        return None
    secret = config.oidc_client_secret
    return SocialApp(
        provider="openid_connect",
        provider_id=PROVIDER,
        name=config.oidc_name,
        client_id=config.oidc_client_id,
        secret=secret.get_secret_value() if secret else "",
        settings={"server_url": config.oidc_issuer.rstrip("/"), "oauth_pkce_enabled": True},
    )


def group_roles() -> Mapping[str, frozenset[TeamRole]]:
    """Roles by group, of OIDC_GROUP_ROLES. Raises Invalid, naming the part that is wrong."""
    return parse_group_roles(settings.CONFIG.oidc_group_roles)


@lru_cache(maxsize=8)
def parse_group_roles(text: str) -> Mapping[str, frozenset[TeamRole]]:
    """Read `group=team:role[,…]`; a group may stand there several times. Raises Invalid."""
    found: dict[str, frozenset[TeamRole]] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        group, _, target = part.rpartition("=")
        team, _, role = target.partition(":")
        if not (group and team and role in {one.value for one in HUMAN_ROLES}):
            raise Invalid(f"{part!r} is not group=team:role with a role of people")
        found[group] = found.get(group, frozenset()) | {TeamRole(team, Role(role))}
    return found


def note_failure(error: object, exception: object) -> None:
    """For whoever looks why nobody gets in; tokens and codes are in neither."""
    log.warning("oidc.failed", error=str(error), reason=str(exception))
