"""How much a version predicted, for its lineage."""

from datetime import datetime, timedelta

from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from apps.monitoring.models import TrafficRollup
from apps.registry.lineage import sources
from apps.registry.lineage.graph import Edge, Graph, Kind, Node
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint

SPAN = timedelta(days=7)
HOUR_S = 3600


def register() -> None:
    """Called once, when the app is ready."""
    sources.register("predictions", of_version)


def of_version(version: ModelVersion) -> Graph:
    """Answers of the last week, exactly, by endpoint; after endpoint and version."""
    graph = Graph()
    for endpoint, requests in _counted(version, timezone.now() - SPAN):
        node = Node(
            f"predictions:{endpoint}",
            Kind.PREDICTIONS,
            f"{requests:,} prediction{'' if requests == 1 else 's'}".replace(",", "\u202f"),
            f"by {endpoint}, {SPAN.days} days",
            href=reverse("endpoint", args=[endpoint]),
        )
        ways = (Edge(version.key, node.key), Edge(f"endpoint:{endpoint}", node.key))
        graph += Graph((node,), ways)
    return graph


def _counted(version: ModelVersion, since: datetime) -> list[tuple[str, int]]:
    """Requests by endpoint of the version's model, the most first."""
    names = Endpoint.objects.filter(model=version.model_id).values("name")
    rows = TrafficRollup.objects.filter(
        endpoint__in=names,
        width_s=HOUR_S,
        started_at__gte=since,
        version_key=version.version_key,
    )
    counted = rows.values_list("endpoint").annotate(total=Sum("requests")).order_by("-total")
    return [(name, int(total)) for name, total in counted[: sources.MOST]]
