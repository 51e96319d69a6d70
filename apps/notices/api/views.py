"""REST: webhooks and what was sent to them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    REASON_LENGTH,
    Action,
    ApiView,
    ListView,
    ReasonInput,
    validated,
)
from apps.accounts.api.filters import CharFilter, Filters, WordFilter
from apps.accounts.models import User
from apps.accounts.selectors import get_team, get_user
from apps.events.errors import NotFound
from apps.notices import selectors, services
from apps.notices.api import examples
from apps.notices.api import serializers as shapes
from apps.notices.models import Delivery, DeliveryState, Mode, NoticeKind, Webhook

TAGS = ["webhooks"]
NOTICES = ["notices"]


class WebhookFilter(Filters):
    """`team` is a team's key."""

    team = CharFilter(field_name="team__key")

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = ()


class DeliveryFilter(Filters):
    """`state` is pending, delivered or dead."""

    state = WordFilter(DeliveryState)
    verb = CharFilter()

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = ()


class WebhooksView(Action, ListView):
    """Webhooks of your teams."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "webhooks_list", "POST": "webhooks_create"}
    tags = TAGS
    queryset = Webhook.objects.all()
    serializer_class = shapes.WebhookSerializer
    shows = shapes.NewWebhookSerializer
    takes = shapes.WebhookInput
    filterset_class = WebhookFilter
    status = 201
    keeps_answers = False
    examples = (examples.NEW, examples.MADE)

    def get_queryset(self) -> QuerySet[Webhook]:
        """Those that the principal may see."""
        return super().get_queryset() if self.is_described else self._seen()

    def _seen(self) -> QuerySet[Webhook]:
        return selectors.webhooks_of(self.principal)

    def act(self, given: dict[str, Any], **_: Any) -> Webhook:
        """Tell an address of a team's events from now on; its secret is shown this once."""
        team = get_team(given.pop("team"))
        return _with_secret(services.create_webhook(actor=self.principal, team=team, **given))


class WebhookView(ApiView):
    """One webhook."""

    permissions = {
        "GET": Permission.VIEW,
        "PATCH": Permission.ADMINISTER,
        "DELETE": Permission.ADMINISTER,
    }

    @extend_schema(
        operation_id="webhooks_get",
        tags=TAGS,
        responses=shapes.WebhookSerializer,
        examples=[examples.SEEN],
    )
    def get(self, request: Request, pk: int) -> Response:
        """A webhook, and how it fares."""
        return Response(shapes.WebhookSerializer(selectors.get_webhook(self.principal, pk)).data)

    @extend_schema(
        operation_id="webhooks_change",
        tags=TAGS,
        request=shapes.WebhookChange,
        responses=shapes.WebhookSerializer,
        examples=[examples.CHANGE],
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change what is given; the rest stays."""
        given = validated(shapes.WebhookChange(data=request.data))
        webhook = selectors.get_webhook(self.principal, pk)
        changed = services.change_webhook(actor=self.principal, webhook=webhook, **given)
        return Response(shapes.WebhookSerializer(changed).data)

    @extend_schema(
        operation_id="webhooks_delete", tags=TAGS, request=ReasonInput, responses={204: None}
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Take it away, with the log of what was sent to it; `reason` may get lost in a DELETE."""
        reason = str(request.data.get("reason", "")) if isinstance(request.data, dict) else ""
        services.delete_webhook(
            actor=self.principal,
            webhook=selectors.get_webhook(self.principal, pk),
            reason=reason[:REASON_LENGTH],
        )
        return Response(status=204)


class RotateSecretView(Action):
    """Sign with a new secret, shown this once; the old one signs beside it for `overlap_s`."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhooks_rotate_secret"}
    tags = TAGS
    takes = shapes.SecretRotationInput
    shows = shapes.NewWebhookSerializer
    keeps_answers = False
    examples = (examples.ROTATION, examples.MADE)

    def act(self, given: dict[str, Any], **path: Any) -> Webhook:
        return _with_secret(
            services.rotate_secret(
                actor=self.principal,
                webhook=selectors.get_webhook(self.principal, path["pk"]),
                overlap=timedelta(seconds=given["overlap_s"]),
                reason=given["reason"],
            )
        )


class EnableView(Action):
    """Send again: what waits, and what happens from now on."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhooks_enable"}
    tags = TAGS
    shows = shapes.WebhookSerializer

    def act(self, given: dict[str, Any], **path: Any) -> Webhook:
        webhook = selectors.get_webhook(self.principal, path["pk"])
        return services.enable_webhook(actor=self.principal, webhook=webhook, **given)


class DisableView(Action):
    """Send nothing more; what waits is kept."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhooks_disable"}
    tags = TAGS
    shows = shapes.WebhookSerializer

    def act(self, given: dict[str, Any], **path: Any) -> Webhook:
        webhook = selectors.get_webhook(self.principal, path["pk"])
        return services.disable_webhook(actor=self.principal, webhook=webhook, **given)


class SendTestView(Action):
    """Send a message that tells of nothing; look at the delivery for what came of it."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhooks_test"}
    tags = TAGS
    takes = shapes.NothingInput
    shows = shapes.DeliverySerializer
    polls = ("api-delivery", "id")
    status = 202
    examples = (examples.NOTHING, examples.DELIVERY)

    def act(self, given: dict[str, Any], **path: Any) -> Delivery:
        webhook = selectors.get_webhook(self.principal, path["pk"])
        return services.send_test(actor=self.principal, webhook=webhook)


class ReplayDeadView(Action):
    """Send every message again that was given up."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhooks_replay_dead"}
    tags = TAGS
    takes = shapes.DeadReplayInput
    shows = shapes.ReplayedSerializer
    examples = (examples.DEAD_REPLAY, examples.REPLAYED)

    def act(self, given: dict[str, Any], **path: Any) -> dict[str, int]:
        webhook = selectors.get_webhook(self.principal, path["pk"])
        count = services.replay_dead(actor=self.principal, webhook=webhook, **given)
        return {"messages": count}


class DeliveriesView(ListView):
    """Messages to a webhook, the newest first."""

    operations = {"GET": "webhook_deliveries_list"}
    tags = TAGS
    queryset = Delivery.objects.all()
    serializer_class = shapes.DeliverySerializer
    filterset_class = DeliveryFilter

    def get_queryset(self) -> QuerySet[Delivery]:
        """Messages of the webhook in the path."""
        if self.is_described:
            return super().get_queryset()
        webhook = selectors.get_webhook(self.principal, self.kwargs["pk"])
        return super().get_queryset().filter(webhook=webhook)


class DeliveryView(ApiView):
    """One message."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(
        operation_id="webhook_deliveries_get",
        tags=TAGS,
        responses=shapes.DeliveryDetailSerializer,
        examples=[examples.DELIVERY],
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """A message: its text, and every try with what the address answered."""
        delivery = selectors.get_delivery(self.principal, pk)
        return Response(shapes.DeliveryDetailSerializer(delivery).data)


class ReplayView(Action):
    """Send a message again, as it was and under its old id."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "webhook_deliveries_replay"}
    tags = TAGS
    takes = shapes.ReplayInput
    shows = shapes.DeliverySerializer
    polls = ("api-delivery", "id")
    status = 202
    examples = (examples.REPLAY, examples.DELIVERY)

    def act(self, given: dict[str, Any], **path: Any) -> Delivery:
        delivery = selectors.get_delivery(self.principal, path["pk"])
        return services.replay(actor=self.principal, delivery=delivery, **given)


class PreferencesView(ApiView):
    """What you are told of by mail."""

    permissions = {"GET": Permission.VIEW, "PATCH": Permission.VIEW}

    @extend_schema(
        operation_id="notice_preferences_get",
        tags=NOTICES,
        responses=shapes.PreferencesSerializer,
        examples=[examples.PREFERENCES],
    )
    def get(self, request: Request) -> Response:
        """When you are told of each kind of thing: immediately, daily or never."""
        return Response(services.preferences(user=self._user()))

    @extend_schema(
        operation_id="notice_preferences_change",
        tags=NOTICES,
        request=shapes.PreferencesSerializer,
        responses=shapes.PreferencesSerializer,
        examples=[examples.PREFERENCES],
    )
    def patch(self, request: Request) -> Response:
        """Change what is given; the rest stays."""
        given = validated(shapes.PreferencesSerializer(data=request.data))
        modes = {NoticeKind(kind): Mode(mode) for kind, mode in given.items()}
        kept = services.set_preferences(actor=self.principal, user=self._user(), modes=modes)
        return Response(kept)

    def _user(self) -> User:
        if self.principal.kind != "user":
            raise NotFound("a program gets no mail")
        return get_user(self.principal.key.removeprefix("user:"))


def _with_secret(made: tuple[Webhook, str]) -> Webhook:
    webhook, secret = made
    webhook.secret = secret  # shown in the place of what is kept; not saved
    return webhook
