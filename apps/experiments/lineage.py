"""Which experiments a version took part in, for its lineage."""

from django.urls import reverse

from apps.experiments.models import Arm
from apps.registry.lineage import sources
from apps.registry.lineage.graph import Edge, Graph, Kind, Node
from apps.registry.models import ModelVersion


def register() -> None:
    """Called once, when the app is ready."""
    sources.register("experiments", of_version)


def of_version(version: ModelVersion) -> Graph:
    """The newest experiments with the version as an arm, between endpoint and predictions."""
    arms = Arm.objects.filter(version=version).select_related("experiment__endpoint")
    graph = Graph()
    for arm in arms.order_by("-experiment_id")[: sources.MOST]:
        experiment = arm.experiment
        href = reverse("experiment", args=[experiment.pk])
        words = f"{experiment.state}, {'control' if arm.is_control else f'arm {arm.key}'}"
        node = Node(experiment.key, Kind.EXPERIMENT, experiment.name, words, experiment.state, href)
        name = experiment.endpoint.name
        ways = (
            Edge(version.key, node.key),
            Edge(f"endpoint:{name}", node.key),
            Edge(node.key, f"predictions:{name}"),
        )
        graph += Graph((node,), ways)
    return graph
