"""What mirrors look like in REST, and what is read from requests."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.base import REASON_LENGTH, StrictSerializer
from apps.mirror.models import TIERS, Difference, Mirror
from apps.mirror.words import sentence
from apps.registry.models import Tier


class MirrorSerializer(serializers.ModelSerializer[Mirror]):
    """A mirror, without its secrets. `owes_since` is when the oldest thing not yet written was
    decided, null when MLflow has been told everything."""

    team = serializers.CharField(source="team.key")
    owner = serializers.CharField(source="owner.username")
    has_credentials = serializers.SerializerMethodField()
    paused = serializers.SerializerMethodField()
    sweeping = serializers.SerializerMethodField()
    owes_since = serializers.SerializerMethodField()
    models_here = serializers.SerializerMethodField()
    differences_open = serializers.SerializerMethodField()

    class Meta:
        model = Mirror
        fields = (
            "id",
            "team",
            "title",
            "tracking_uri",
            "pattern",
            "tier",
            "owner",
            "writes_back",
            "has_credentials",
            "paused",
            "paused_reason",
            "sweeping",
            "models_seen",
            "swept_at",
            "fully_swept_at",
            "due_at",
            "failures",
            "error",
            "written_at",
            "write_failures",
            "write_error",
            "owes_since",
            "models_here",
            "differences_open",
            "created_by_key",
            "created_at",
        )

    def get_has_credentials(self, mirror: Mirror) -> bool:
        """Whether it signs in."""
        return bool(mirror.credentials)

    def get_paused(self, mirror: Mirror) -> bool:
        """Whether it neither polls nor writes."""
        return mirror.paused_at is not None

    def get_sweeping(self, mirror: Mirror) -> bool:
        """Whether a sweep is under way."""
        return mirror.sweep_started_at is not None

    def get_owes_since(self, mirror: Mirror) -> datetime | None:
        """Since when MLflow waits to be told."""
        return getattr(mirror, "owes_since", None)

    def get_models_here(self, mirror: Mirror) -> int:
        """Models that came in."""
        return int(getattr(mirror, "models_here", 0))

    def get_differences_open(self, mirror: Mirror) -> int:
        """Differences that nobody has dealt with."""
        return int(getattr(mirror, "differences_open", 0))


class NewMirrorSerializer(MirrorSerializer):
    """A mirror with the secret of its hints, which is shown this once."""

    secret = serializers.CharField()

    class Meta(MirrorSerializer.Meta):
        fields = (*MirrorSerializer.Meta.fields, "secret")  # type: ignore[assignment]  # one more


class CredentialsInput(StrictSerializer):
    """A username and a password, or a token; nothing takes them away."""

    username = serializers.CharField(max_length=200, required=False)
    password = serializers.CharField(max_length=2000, required=False)
    token = serializers.CharField(max_length=4000, required=False)


class MirrorFields(StrictSerializer):
    """What may be changed; `pattern` is fnmatch's on the names of models, empty means all."""

    title = serializers.CharField(max_length=100, required=False)
    credentials = CredentialsInput(required=False)
    pattern = serializers.CharField(max_length=200, required=False, allow_blank=True)
    tier = serializers.ChoiceField(TIERS, required=False)
    writes_back = serializers.BooleanField(required=False)


class MirrorInput(MirrorFields):
    """A new mirror; without an address, of the MLflow of this installation."""

    team = serializers.CharField(max_length=60)
    tracking_uri = serializers.CharField(max_length=2000, required=False, default="")
    title = serializers.CharField(max_length=100, required=False, default="")
    tier = serializers.ChoiceField(TIERS, required=False, default=Tier.STANDARD.value)


class MirrorChange(MirrorFields):
    """What is given is changed, the rest stays."""

    reason = serializers.CharField(max_length=REASON_LENGTH)


class MirrorDifferenceSerializer(serializers.ModelSerializer[Difference]):
    """Something that was changed in MLflow behind our back; `made_by` "" is what MLflow does not
    know."""

    mirror = serializers.IntegerField(source="mirrored.mirror_id")
    name = serializers.CharField(source="mirrored.name")
    version = serializers.SerializerMethodField()
    sentence = serializers.SerializerMethodField()

    class Meta:
        model = Difference
        fields = (
            "id",
            "mirror",
            "name",
            "version",
            "kind",
            "subject",
            "sentence",
            "was",
            "found",
            "made_by",
            "state",
            "found_at",
            "ended_at",
            "ended_by_key",
            "reason",
        )

    @extend_schema_field(serializers.CharField)
    def get_version(self, difference: Difference) -> str:
        """The version of ours that it concerns, "" for none."""
        row = difference.mirrored_version
        return row.version.version_key if row is not None and row.version is not None else ""

    def get_sentence(self, difference: Difference) -> str:
        """What happened, in one line."""
        return sentence(difference)


def given_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Input of services: nested input as plain mappings."""
    return {key: dict(value) if key == "credentials" else value for key, value in given.items()}
