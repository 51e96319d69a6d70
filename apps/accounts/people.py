"""People, teams and memberships: every write; `services` offers them to other apps."""

from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.access import (
    HUMAN_ROLES,
    Permission,
    Principal,
    Role,
    authorise,
    authorise_anywhere,
)
from apps.accounts.errors import AlreadyDone, LastAdministrator, NameTaken
from apps.accounts.models import Membership, ServiceAccount, Session, Team, User
from apps.accounts.names import check_key
from apps.events.errors import Invalid, NotFound
from apps.events.services import record


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
    user = insert_user(
        username=username,
        password=password,
        email=email,
        first_name=first_name,
        last_name=last_name,
    )
    record(actor=actor, verb="user.created", object_key=user.key, after={"username": username})
    return user


def insert_user(*, username: str, password: str | None = None, **names: str) -> User:
    """The row of a new person; without a password nobody can sign in with one.

    Raises Invalid for a weak password or a bad name, NameTaken.
    """
    user = User(username=username, **names)
    if password is not None:
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
    """Shut a person out; what they did stays.

    Programs they answer for are orphaned: those that may do more than predict stop working
    ORPHAN_GRACE_DAYS later, unless somebody else takes them over.
    """
    authorise_anywhere(actor, Permission.ADMINISTER)
    if actor.user_id == user.pk:
        raise Invalid("nobody deactivates themselves")
    if not User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
        raise AlreadyDone(f"{user.username} is deactivated already")
    user.is_active = False
    ended = Session.objects.filter(user=user).delete()[0]
    record(
        actor=actor,
        verb="user.deactivated",
        object_key=user.key,
        before={"is_active": True},
        after={"is_active": False, "sessions_ended": ended},
        reason=reason,
    )
    _orphan_programs(actor, user, reason)


@transaction.atomic
def activate_user(*, actor: Principal, user: User, reason: str) -> None:
    """Let a deactivated person in again; the programs they still answer for have a human again."""
    authorise_anywhere(actor, Permission.ADMINISTER)
    if not User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
        raise AlreadyDone(f"{user.username} is active")
    user.is_active = True
    ServiceAccount.objects.filter(responsible=user).update(orphaned_at=None)
    record(
        actor=actor,
        verb="user.activated",
        object_key=user.key,
        before={"is_active": False},
        after={"is_active": True},
        reason=reason,
    )


@transaction.atomic
def end_sessions(*, actor: Principal, user: User, reason: str = "", keep: str = "") -> int:
    """Sign a person out everywhere but in the session `keep`; how many sessions ended.

    By themselves, or by an administrator.
    """
    if actor.user_id != user.pk:
        authorise_anywhere(actor, Permission.ADMINISTER)
    ended = Session.objects.filter(user=user).exclude(session_key=keep).delete()[0]
    record(
        actor=actor,
        verb="user.signed_out",
        object_key=user.key,
        after={"sessions_ended": ended},
        reason=reason,
    )
    return ended


@transaction.atomic
def create_team(*, actor: Principal, key: str, name: str) -> Team:
    """Add a team; the person who makes it is its first administrator.

    Raises Invalid for a key that no address can hold, NameTaken.
    """
    authorise_anywhere(actor, Permission.ADMINISTER)
    check_key(key, field="key")
    if not name.strip():
        raise Invalid("give the team a name", field="name")
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
    """Take a role in a team from a person.

    Raises NotFound when they do not hold it, and LastAdministrator when nobody would be left to
    give roles; the groups of an identity provider are obeyed all the same.
    """
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    if role is Role.ADMIN and actor.kind != "system":
        _require_another_administrator(user, team)
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
def record_sign_in(*, actor: Principal, ways: Sequence[str] = ()) -> None:
    """Note in the log that a person signed in, and with what: "password", "one-time code"."""
    after = {"with": list(ways)} if ways else None
    record(actor=actor, verb="user.signed_in", object_key=actor.key, after=after)


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


def _require_another_administrator(user: User, team: Team) -> None:
    Team.objects.select_for_update().get(pk=team.pk)
    others = Membership.objects.filter(team=team, role=Role.ADMIN.value, user__is_active=True)
    if not others.exclude(user=user).exists():
        raise LastAdministrator(f"{user.username} is the only administrator of {team.key}")


def _orphan_programs(actor: Principal, user: User, reason: str) -> None:
    mine = ServiceAccount.objects.filter(responsible=user, orphaned_at__isnull=True)
    for account in mine.select_related("team").select_for_update(of=("self",)):
        account.orphaned_at = timezone.now()
        account.save(update_fields=["orphaned_at"])
        record(
            actor=actor,
            verb="service_account.orphaned",
            object_key=account.key,
            team_key=account.team.key,
            after={"responsible": user.key},
            reason=reason,
        )


def _refresh_staff(user: User) -> None:
    """Only administrators may open Django's admin."""
    user.is_staff = user.memberships.filter(role=Role.ADMIN.value).exists()
    user.save(update_fields=["is_staff"])


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error
