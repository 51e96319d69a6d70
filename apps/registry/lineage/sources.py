"""A version's lineage: this floor's part of it, and what upper floors add at start-up."""

from collections.abc import Callable
from typing import Any

from django.urls import reverse

from apps.registry.lineage.graph import Edge, Graph, Kind, Node
from apps.registry.models import ModelVersion

Contribution = Callable[[ModelVersion], Graph]
MOST = 5
DIGEST = 12

_contributions: dict[str, Contribution] = {}


def register(slug: str, contribute: Contribution) -> None:
    """Have `contribute` add its part of the graph; slugs are unique."""
    _contributions[slug] = contribute


def of_version(version: ModelVersion) -> Graph:
    """The whole lineage of a version. Reads a fixed number of rows of every kind."""
    graph = _origin(version) + _family(version)
    for slug in sorted(_contributions):
        graph += _contributions[slug](version)
    return graph.whole().reduced()


def _origin(version: ModelVersion) -> Graph:
    """Data sets and code commit lead to the run (or, without one, to the version)."""
    nodes = [*_data(version.data_lineage), *_code(version.code_lineage)]
    last = version.key
    edges = []
    if version.run_id:
        run = Node(f"run:{version.run_id}", Kind.RUN, version.run_id[:DIGEST], _run_words(version))
        edges = [Edge(run.key, version.key)]
        nodes, last = [*nodes, run], run.key
    sources = [node for node in nodes if node.kind is not Kind.RUN]
    edges = [*(Edge(node.key, last) for node in sources), *edges]
    return Graph((*nodes, _node(version)), tuple(edges))


def _node(version: ModelVersion) -> Node:
    title = f"{version.model.name} v{version.number}"
    words = f"{version.semantic_version} {version.stage}".strip()
    href = reverse("version", args=[version.model.name, version.number])
    return Node(version.key, Kind.VERSION, title, words, version.stage, href)


def _run_words(version: ModelVersion) -> str:
    return f"trained {version.trained_at:%Y-%m-%d}" if version.trained_at else "MLflow run"


def _data(known: dict[str, Any]) -> list[Node]:
    """One node for each data set; a digest without a name is one, too."""
    sets = [each for each in known.get("datasets", []) if isinstance(each, dict)]
    nodes = [_data_set(each) for each in sets[:MOST]]
    if len(sets) > MOST:
        nodes.append(Node("data:more", Kind.DATA, f"{len(sets) - MOST} more data sets"))
    if not sets and known.get("digest"):
        digest = str(known["digest"])
        nodes.append(Node(f"data:{digest}", Kind.DATA, "training data", digest[:DIGEST]))
    return nodes


def _data_set(known: dict[str, Any]) -> Node:
    name, digest = str(known.get("name") or "data set"), str(known.get("digest") or "")
    return Node(f"data:{name}@{digest}", Kind.DATA, name, digest[:DIGEST])


def _code(known: dict[str, Any]) -> list[Node]:
    commit = str(known.get("commit") or "")
    title = str(known.get("entry_point") or known.get("repository") or "")
    if not commit and not title:
        return []
    return [Node(f"code:{commit or title}", Kind.CODE, commit[:DIGEST] or title, title)]


def _family(version: ModelVersion) -> Graph:
    """What this version was made of, and what was made of it."""
    graph = Graph()
    if version.derived_from_id is not None:
        parents = ModelVersion.objects.select_related("model__team")
        parent = parents.get(pk=version.derived_from_id)
        graph += Graph((_node(parent),), (Edge(parent.key, version.key),))
    found = version.derivatives.select_related("model__team").order_by("-number")[:MOST]
    for one in found:
        graph += Graph((_node(one),), (Edge(version.key, one.key),))
    return graph
