"""What accounts look like in REST, and what is read from requests."""

from rest_framework import serializers

from apps.accounts.access import GRANTS, HUMAN_ROLES, SERVICE_ROLES, Permission, Principal, Role
from apps.accounts.api.base import ReasonField, ReasonInput, StrictSerializer
from apps.accounts.credentials import MOST_BURST
from apps.accounts.models import Membership, ServiceAccount, Team, Token, User


def _sorted(roles: frozenset[Role]) -> list[str]:
    return [role.value for role in Role if role in roles]


class MeSerializer(serializers.Serializer[Principal]):
    """The principal of a request: roles and permissions by team."""

    key = serializers.CharField()
    display = serializers.CharField()
    kind = serializers.ChoiceField(["user", "service", "system"])
    responsible_key = serializers.CharField()
    roles = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    permissions = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    scopes = serializers.ListField(child=serializers.CharField(), allow_null=True)

    def to_representation(self, instance: Principal) -> dict[str, object]:
        """Sorted lists, so that equal principals read equal."""
        return {
            "key": instance.key,
            "display": instance.display,
            "kind": instance.kind,
            "responsible_key": instance.responsible_key,
            "roles": {team: _sorted(held) for team, held in instance.roles.items()},
            "permissions": {
                team: [one.value for one in Permission if instance.can(one, team)]
                for team in instance.roles
            },
            "scopes": None if instance.scopes is None else sorted(instance.scopes),
        }


class TeamSerializer(serializers.ModelSerializer[Team]):
    """A team."""

    class Meta:
        model = Team
        fields = ("key", "name", "created_at")


class TeamInput(StrictSerializer):
    """A new team."""

    key = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=120)


class UserSerializer(serializers.ModelSerializer[User]):
    """A person."""

    name = serializers.CharField(source="get_full_name", read_only=True)

    class Meta:
        model = User
        fields = ("username", "name", "email", "is_active", "last_login")


class UserInput(StrictSerializer):
    """A new person."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=200, write_only=True)
    email = serializers.EmailField(required=False)
    first_name = serializers.CharField(max_length=150, required=False)
    last_name = serializers.CharField(max_length=150, required=False)


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in a team."""

    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ("username", "role")


class MembershipInput(StrictSerializer):
    """A role for a person."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(_sorted(HUMAN_ROLES))
    reason = ReasonField()

    def validate_role(self, value: str) -> Role:
        """The word as what it stands for."""
        return Role(value)


class ServiceAccountSerializer(serializers.ModelSerializer[ServiceAccount]):
    """A program, the human who answers for it, and what it may do."""

    team = serializers.CharField(source="team.key")
    responsible = serializers.CharField(source="responsible.username")
    permissions = serializers.SerializerMethodField()
    refused_from = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = ServiceAccount
        fields = (
            "name",
            "team",
            "role",
            "responsible",
            "permissions",
            "endpoints",
            "requests_per_second",
            "burst",
            "tier",
            "budget",
            "created_at",
            "disabled_at",
            "orphaned_at",
            "refused_from",
        )

    def get_permissions(self, account: ServiceAccount) -> list[str]:
        """What its role grants."""
        return [one.value for one in Permission if one in GRANTS[Role(account.role)]]


class ClientLimitsInput(StrictSerializer):
    """What a client of the data plane may. `endpoints` empty means all, `requests_per_second` 0
    no limit, `burst` 0 one second's worth, `budget` in dollars per 1,000 predictions, 0 any."""

    endpoints = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    requests_per_second = serializers.FloatField(required=False, min_value=0)
    burst = serializers.IntegerField(required=False, min_value=0, max_value=MOST_BURST)
    tier = serializers.CharField(
        required=False, allow_blank=True, max_length=40, help_text="what routing rules look at"
    )
    budget = serializers.FloatField(required=False, min_value=0)


LIMITS = tuple(ClientLimitsInput().fields)


class ServiceAccountInput(ClientLimitsInput):
    """A new program."""

    name = serializers.SlugField(max_length=80)
    team = serializers.CharField(max_length=60)
    role = serializers.ChoiceField(_sorted(SERVICE_ROLES))
    responsible = serializers.CharField(max_length=150)

    def validate_role(self, value: str) -> Role:
        """The word as what it stands for."""
        return Role(value)


class ClientLimitsChange(ClientLimitsInput):
    """Other limits: what is given is changed, the rest stays."""

    reason = ReasonField()


class HandOverInput(ReasonInput):
    """The human who answers for a program from now on."""

    responsible = serializers.CharField(max_length=150)


class TokenSerializer(serializers.ModelSerializer[Token]):
    """A token, without its text."""

    class Meta:
        model = Token
        fields = (
            "id",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )


class IssuedTokenSerializer(serializers.ModelSerializer[Token]):
    """A new token with its text, which is shown this once."""

    token = serializers.CharField()

    class Meta:
        model = Token
        fields = (*TokenSerializer.Meta.fields, "token")


class TokenInput(StrictSerializer):
    """A new token; `scopes` narrow what its owner's roles grant."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in Permission]),
        required=False,
        allow_null=True,
        default=None,
    )
    expires_at = serializers.DateTimeField()


class RotationInput(StrictSerializer):
    """How long the new token lives, and how long the old one goes on beside it."""

    expires_at = serializers.DateTimeField()
    overlap_s = serializers.IntegerField(min_value=0, max_value=30 * 86400, required=False)
    reason = ReasonField()
