"""Where a version was deployed, for its lineage."""

from apps.deployments.models import Deployment
from apps.registry.lineage import sources
from apps.registry.lineage.graph import Edge, Graph, Kind, Node
from apps.registry.models import ModelVersion


def register() -> None:
    """Called once, when the app is ready."""
    sources.register("deployments", of_version)


def of_version(version: ModelVersion) -> Graph:
    """The newest deployments, between the version and the endpoints that they were meant for."""
    found = Deployment.objects.of_version(version).select_related("target")[: sources.MOST]
    graph = Graph()
    for one in found:
        replicas = f"{one.replicas} replica{'' if one.replicas == 1 else 's'}"
        words = f"{one.state}, {replicas}"
        node = Node(one.key, Kind.DEPLOYMENT, f"on {one.target.name}", words, one.state)
        before = Edge(version.key, node.key)
        graph += Graph((node,), (before, Edge(node.key, f"endpoint:{one.endpoint_name}")))
    return graph
