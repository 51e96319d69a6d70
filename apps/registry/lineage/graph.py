"""Nodes and edges of a lineage. Pure; an edge leads from what was there first."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a node stands for."""

    DATA = "data"
    CODE = "code"
    RUN = "run"
    VERSION = "version"
    DEPLOYMENT = "deployment"
    ENDPOINT = "endpoint"
    EXPERIMENT = "experiment"
    PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Node:
    """One thing; `key` tells it from all others, `href` is its page ("" for none).

    `words` say in a few words how it stands; `state` is the word that its badge would show.
    """

    key: str
    kind: Kind
    title: str
    words: str = ""
    state: str = ""
    href: str = ""


@dataclass(frozen=True)
class Edge:
    """`target` came of `source`; both are keys of nodes."""

    source: str
    target: str


@dataclass(frozen=True)
class Graph:
    """Nodes by first appearance, and the edges between them."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    def __add__(self, other: "Graph") -> "Graph":
        nodes = {node.key: node for node in (*other.nodes, *self.nodes)}
        order = dict.fromkeys(node.key for node in (*self.nodes, *other.nodes))
        edges = dict.fromkeys((*self.edges, *other.edges))
        return Graph(tuple(nodes[key] for key in order), tuple(edges))

    def whole(self) -> "Graph":
        """The same without edges that lead to a node which is not here."""
        keys = {node.key for node in self.nodes}
        kept = (one for one in self.edges if one.source in keys and one.target in keys)
        return Graph(self.nodes, tuple(kept))

    def reduced(self) -> "Graph":
        """The same without edges whose ends a longer way joins as well."""
        after: dict[str, set[str]] = defaultdict(set)
        for edge in self.edges:
            after[edge.source].add(edge.target)
        kept = (one for one in self.edges if not _joined(after, one))
        return Graph(self.nodes, tuple(kept))


def _joined(after: dict[str, set[str]], edge: Edge) -> bool:
    """Whether another way than the edge itself leads from its source to its target."""
    waiting = sorted(after[edge.source] - {edge.target})
    seen: set[str] = {edge.source}
    while waiting:
        key = waiting.pop()
        if key == edge.target:
            return True
        if key not in seen:
            seen.add(key)
            waiting += sorted(after.get(key, ()))
    return False


@dataclass(frozen=True)
class Branch:
    """A node of the nested list; `again` marks one that was told before, without its own."""

    node: Node
    below: tuple["Branch", ...] = ()
    again: bool = False


def tree(graph: Graph) -> tuple[Branch, ...]:
    """The graph as a nested list, from what nothing here came before."""
    nodes = {node.key: node for node in graph.nodes}
    below: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        below[edge.source].append(edge.target)
    told: set[str] = set()

    def branch(key: str) -> Branch:
        if key in told:
            return Branch(nodes[key], again=True)
        told.add(key)
        return Branch(nodes[key], tuple(branch(child) for child in below[key]))

    return tuple(branch(key) for key in _first(graph.nodes, graph.edges))


def _first(nodes: Iterable[Node], edges: Iterable[Edge]) -> list[str]:
    led_to = {edge.target for edge in edges}
    return [node.key for node in nodes if node.key not in led_to]
