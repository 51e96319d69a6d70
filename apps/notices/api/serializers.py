"""What webhooks look like in REST, and what is read from requests."""

from rest_framework import serializers

from apps.accounts.api.base import REASON_LENGTH, StrictSerializer
from apps.notices.models import NOTICE_MODES, Attempt, Delivery, Webhook

MONTH_S = 30 * 86_400


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook, without its secret."""

    team = serializers.CharField(source="team.key")
    objects = serializers.ListField(child=serializers.CharField(), source="objects_heard")
    enabled = serializers.SerializerMethodField()

    class Meta:
        model = Webhook
        fields = (
            "id",
            "team",
            "url",
            "description",
            "verbs",
            "objects",
            "enabled",
            "disabled_reason",
            "failures",
            "first_failed_at",
            "resumes_at",
            "overlap_ends_at",
            "created_by_key",
            "created_at",
        )

    def get_enabled(self, webhook: Webhook) -> bool:
        """Whether anything is sent."""
        return webhook.disabled_at is None


class NewWebhookSerializer(WebhookSerializer):
    """A webhook with its secret, which is shown this once."""

    secret = serializers.CharField()

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]  # one more


class WebhookFields(StrictSerializer):
    """What a webhook is made of; patterns are fnmatch's, none means all."""

    url = serializers.CharField(max_length=2000)
    verbs = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    objects = serializers.ListField(child=serializers.CharField(max_length=300), required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)


class WebhookInput(WebhookFields):
    """A new webhook."""

    team = serializers.CharField(max_length=60)


class WebhookChange(WebhookFields):
    """What is given is changed, the rest stays."""

    url = serializers.CharField(max_length=2000, required=False)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class SecretRotationInput(StrictSerializer):
    """How long the old secret signs beside the new one."""

    overlap_s = serializers.IntegerField(min_value=0, max_value=MONTH_S, required=False, default=0)
    reason = serializers.CharField(max_length=REASON_LENGTH, required=False, default="")


class NothingInput(StrictSerializer):
    """Takes no fields."""


class ReplayInput(StrictSerializer):
    """Why, if there is something to say."""

    reason = serializers.CharField(max_length=REASON_LENGTH, required=False, default="")


class DeadReplayInput(StrictSerializer):
    """Which of the messages that were given up: all, or those made since a moment."""

    since = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class ReplayedSerializer(serializers.Serializer[dict[str, int]]):
    """How many messages wait to be sent again."""

    messages = serializers.IntegerField()


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One try."""

    class Meta:
        model = Attempt
        fields = ("at", "status", "latency_s", "excerpt", "error")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A message and how far it has come."""

    webhook = serializers.IntegerField(source="webhook_id")

    class Meta:
        model = Delivery
        fields = (
            "id",
            "message_id",
            "webhook",
            "event_id",
            "verb",
            "object_key",
            "state",
            "tries",
            "created_at",
            "due_at",
            "ended_at",
        )


class DeliveryDetailSerializer(DeliverySerializer):
    """A message with its text and its tries, the newest first."""

    attempts = AttemptSerializer(many=True)

    class Meta(DeliverySerializer.Meta):
        fields = (*DeliverySerializer.Meta.fields, "body", "attempts")  # type: ignore[assignment]  # two more


def _mode() -> serializers.ChoiceField:
    return serializers.ChoiceField(NOTICE_MODES, required=False)


class PreferencesSerializer(StrictSerializer):
    """When you are told of each kind; what is left out stays as it is."""

    promotion_waiting = _mode()
    promotion_decided = _mode()
    rolled_back = _mode()
    deployment_failed = _mode()
    webhook_disabled = _mode()
