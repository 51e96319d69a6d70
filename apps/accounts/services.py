"""People, teams and memberships: every write. Programs and their tokens are in `credentials`."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.accounts.access import (
    HUMAN_ROLES,
    Permission,
    Principal,
    Role,
    authorise,
    authorise_anywhere,
)
from apps.accounts.credentials import (
    ClientLimits,
    create_service_account,
    disable_service_account,
    enable_service_account,
    issue_token,
    limit_service_account,
    revoke_token,
    rotate_token,
)
from apps.accounts.errors import AlreadyDone, NameTaken
from apps.accounts.models import Membership, Team, User
from apps.events.errors import Invalid, NotFound
from apps.events.services import record

__all__ = [
    "ClientLimits",
    "add_member",
    "create_service_account",
    "create_team",
    "create_user",
    "deactivate_user",
    "disable_service_account",
    "enable_service_account",
    "issue_token",
    "limit_service_account",
    "record_sign_in",
    "remove_member",
    "revoke_token",
    "rotate_token",
    "set_password",
]


@transaction.atomic
def create_user(
    *,
    actor: Principal,
    username: str,
    password: str,
    email: str = "",
    first_name: str = "",
    last_name: str = "",
) -> User:
    """Add a person. Raises Invalid for a weak password or a bad name, NameTaken."""
    authorise_anywhere(actor, Permission.ADMINISTER)
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    _check_password(password, user)
    user.set_password(password)
    try:
        user.full_clean(validate_unique=False)
    except ValidationError as error:
        raise Invalid(error.messages[0], field=next(iter(error.message_dict))) from error
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise NameTaken(f"there is a user {username} already", field="username") from error
    record(actor=actor, verb="user.created", object_key=user.key, after={"username": username})
    return user


@transaction.atomic
def set_password(*, actor: Principal, user: User, password: str, reason: str = "") -> None:
    """Give a person another password: by themselves, or by an administrator."""
    own = actor.user_id == user.pk
    if not own:
        authorise_anywhere(actor, Permission.ADMINISTER)
    _check_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    verb = "user.password_changed" if own else "user.password_set"
    record(actor=actor, verb=verb, object_key=user.key, reason=reason)


@transaction.atomic
def deactivate_user(*, actor: Principal, user: User, reason: str) -> None:
    """Shut a person out; what they did stays, and so do the accounts they answer for."""
    authorise_anywhere(actor, Permission.ADMINISTER)
    if actor.user_id == user.pk:
        raise Invalid("nobody deactivates themselves")
    if not User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
        raise AlreadyDone(f"{user.username} is deactivated already")
    user.is_active = False
    record(
        actor=actor,
        verb="user.deactivated",
        object_key=user.key,
        before={"is_active": True},
        after={"is_active": False},
        reason=reason,
    )


@transaction.atomic
def create_team(*, actor: Principal, key: str, name: str) -> Team:
    """Add a team; the person who makes it is its first administrator."""
    authorise_anywhere(actor, Permission.ADMINISTER)
    try:
        with transaction.atomic():
            team = Team.objects.create(key=key, name=name)
    except IntegrityError as error:
        raise NameTaken(f"there is a team {key} already", field="key") from error
    record(
        actor=actor,
        verb="team.created",
        object_key=f"team:{key}",
        team_key=key,
        after={"name": name},
    )
    if actor.user_id is not None:
        _admit(actor, User.objects.get(pk=actor.user_id), team, Role.ADMIN, "made the team")
    return team


@transaction.atomic
def add_member(
    *, actor: Principal, user: User, team: Team, role: Role, reason: str = ""
) -> Membership:
    """Give a person a role in a team. Raises NameTaken, or Invalid for a program's role."""
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    if role not in HUMAN_ROLES:
        raise Invalid(f"{role} is a role of service accounts, not of people", field="role")
    return _admit(actor, user, team, role, reason)


@transaction.atomic
def remove_member(
    *, actor: Principal, user: User, team: Team, role: Role, reason: str = ""
) -> None:
    """Take a role in a team from a person. Raises NotFound when they do not hold it."""
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    deleted, _ = Membership.objects.filter(user=user, team=team, role=role).delete()
    if not deleted:
        raise NotFound(f"{user.username} is not {role} in {team.key}")
    _refresh_staff(user)
    record(
        actor=actor,
        verb="membership.removed",
        object_key=user.key,
        team_key=team.key,
        before={"team": team.key, "role": role},
        reason=reason,
    )


@transaction.atomic
def record_sign_in(*, actor: Principal) -> None:
    """Note in the log that a person signed in."""
    record(actor=actor, verb="user.signed_in", object_key=actor.key)


def _admit(actor: Principal, user: User, team: Team, role: Role, reason: str) -> Membership:
    try:
        with transaction.atomic():
            membership = Membership.objects.create(user=user, team=team, role=role.value)
    except IntegrityError as error:
        raise NameTaken(f"{user.username} is {role} in {team.key} already", field="role") from error
    _refresh_staff(user)
    record(
        actor=actor,
        verb="membership.added",
        object_key=user.key,
        team_key=team.key,
        after={"team": team.key, "role": role},
        reason=reason,
    )
    return membership


def _refresh_staff(user: User) -> None:
    """Only administrators may open Django's admin."""
    user.is_staff = user.memberships.filter(role=Role.ADMIN.value).exists()
    user.save(update_fields=["is_staff"])


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error
