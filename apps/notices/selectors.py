"""Reads over several models of this app."""

from uuid import UUID

from django.db.models import Count, Q, QuerySet

from apps.accounts.access import Permission, Principal
from apps.notices.errors import NoDelivery, NoWebhook
from apps.notices.models import Delivery, DeliveryState, Webhook


def webhooks_of(principal: Principal) -> QuerySet[Webhook]:
    """Webhooks of the teams that this principal looks into."""
    teams = principal.teams_with(Permission.VIEW)
    return Webhook.objects.filter(team__key__in=teams).select_related("team")


def counted(webhooks: QuerySet[Webhook]) -> QuerySet[Webhook]:
    """With `waiting` and `dead`: how many of their messages stand so."""

    def in_state(state: DeliveryState) -> Count:
        return Count("deliveries", filter=Q(deliveries__state=state.value))

    return webhooks.annotate(
        waiting=in_state(DeliveryState.PENDING), dead=in_state(DeliveryState.DEAD)
    )


def get_webhook(principal: Principal, pk: int) -> Webhook:
    """A webhook that this principal may see. Raises NoWebhook."""
    found = webhooks_of(principal).filter(pk=pk).first()
    if found is None:
        raise NoWebhook(f"there is no webhook {pk}")
    return found


def deliveries_of(principal: Principal) -> QuerySet[Delivery]:
    """Messages of the webhooks that this principal may see."""
    teams = principal.teams_with(Permission.VIEW)
    rows = Delivery.objects.filter(webhook__team__key__in=teams)
    return rows.select_related("webhook__team")


def get_delivery(principal: Principal, pk: UUID) -> Delivery:
    """A message that this principal may see. Raises NoDelivery."""
    found = deliveries_of(principal).filter(pk=pk).first()
    if found is None:
        raise NoDelivery(f"there is no delivery {pk}")
    return found
