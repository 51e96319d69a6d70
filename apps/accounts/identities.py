"""People of an identity provider: made at their first sign-in, with the roles of their groups."""

import structlog
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.accounts import people
from apps.accounts.access import Permission, Principal, Role, authorise_anywhere, system
from apps.accounts.errors import AlreadyDone, NameTaken, PermissionDenied
from apps.accounts.models import Membership, Team, User
from apps.accounts.oidc import Claims, TeamRole, group_roles
from apps.events.errors import Conflict, Invalid
from apps.events.services import record

log = structlog.get_logger(__name__)
ACTOR = system("oidc")
REASON = "groups at the identity provider"


@transaction.atomic
def provision(*, claims: Claims, actor: Principal = ACTOR) -> User:
    """Make the person. They have no password and no role yet.

    Raises NameTaken when somebody local has the name or the address: whoever holds both accounts
    signs in with the password and connects the other, so that nobody takes over a namesake.
    """
    authorise_anywhere(actor, Permission.ADMINISTER)
    same = Q(username__iexact=claims.username)
    if claims.email:
        same |= Q(email__iexact=claims.email)
    if User.objects.filter(same).exists():
        raise NameTaken(
            f"there is an account {claims.username} already: sign in with its password, then "
            "connect this one under Security"
        )
    user = people.insert_user(
        username=claims.username,
        email=claims.email,
        first_name=claims.first_name,
        last_name=claims.last_name,
    )
    after = {"username": user.username, "email": user.email}
    record(actor=actor, verb="user.provisioned", object_key=user.key, after=after)
    return user


@transaction.atomic
def apply_groups(*, user: User, groups: frozenset[str], actor: Principal = ACTOR) -> None:
    """Give and take exactly the roles that OIDC_GROUP_ROLES names; leave all others alone.

    Who has no role at all after that may look at OIDC_DEFAULT_TEAM, if it is set.
    """
    mapped = group_roles()
    known = frozenset().union(*mapped.values()) if mapped else frozenset()
    wanted = frozenset().union(*(mapped.get(group, frozenset()) for group in groups))
    held = {
        TeamRole(team, Role(role))
        for team, role in user.memberships.values_list("team__key", "role")
    }
    for pair in sorted(known & held - wanted, key=str):
        _take(actor, user, pair)
    for pair in sorted(wanted - held, key=str):
        _give(actor, user, pair)
    default = settings.CONFIG.oidc_default_team
    if default and not Membership.objects.filter(user=user).exists():
        _give(actor, user, TeamRole(default, Role.READ_ONLY))


@transaction.atomic
def connect(*, actor: Principal, user: User, account: SocialAccount) -> None:
    """Let `user` sign in with this account of the provider too.

    Raises Conflict when it is somebody else's, or when they have another one.
    """
    _own(actor, user)
    known = SocialAccount.objects.filter(provider=account.provider, uid=account.uid).first()
    if known is not None or SocialAccount.objects.filter(user=user).exists():
        raise Conflict("this account, or yours, is connected already")
    account.user = user
    account.save()
    record(actor=actor, verb="user.identity_connected", object_key=user.key)


@transaction.atomic
def disconnect(*, actor: Principal, user: User, reason: str) -> None:
    """Sign in with the provider no longer. Raises AlreadyDone, Invalid without a password."""
    _own(actor, user)
    if not user.has_usable_password():
        raise Invalid("without a password this is your only way in: an administrator sets one")
    if not SocialAccount.objects.filter(user=user).delete()[0]:
        raise AlreadyDone("no account of the provider is connected")
    record(actor=actor, verb="user.identity_disconnected", object_key=user.key, reason=reason)


def _own(actor: Principal, user: User) -> None:
    if actor.user_id != user.pk:
        raise PermissionDenied(f"{actor.display} may not change how {user.username} signs in")


def _give(actor: Principal, user: User, pair: TeamRole) -> None:
    team = Team.objects.filter(key=pair.team_key).first()
    if team is None:
        log.warning("oidc.team_unknown", team=pair.team_key)
        return
    people.add_member(actor=actor, user=user, team=team, role=pair.role, reason=REASON)


def _take(actor: Principal, user: User, pair: TeamRole) -> None:
    team = Team.objects.get(key=pair.team_key)
    people.remove_member(actor=actor, user=user, team=team, role=pair.role, reason=REASON)
