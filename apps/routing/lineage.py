"""Which endpoints give a version traffic, for its lineage."""

from django.urls import reverse

from apps.registry.lineage import sources
from apps.registry.lineage.graph import Edge, Graph, Kind, Node
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint


def register() -> None:
    """Called once, when the app is ready."""
    sources.register("endpoints", of_version)


def of_version(version: ModelVersion) -> Graph:
    """Endpoints whose current phase names the version, after the version itself."""
    found = Endpoint.objects.serving(version).order_by("name")[: sources.MOST]
    nodes = tuple(endpoint_node(endpoint) for endpoint in found)
    return Graph(nodes, tuple(Edge(version.key, node.key) for node in nodes))


def endpoint_node(endpoint: Endpoint) -> Node:
    """The node of an endpoint."""
    href = reverse("endpoint", args=[endpoint.name])
    return Node(endpoint.key, Kind.ENDPOINT, endpoint.name, "sends it traffic", href=href)
