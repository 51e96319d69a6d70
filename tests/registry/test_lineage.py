"""Lineage: one graph from data and code to predictions, drawn without a box upon another."""

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.registry.lineage.graph import Edge, Graph, Kind, Node, tree
from apps.registry.lineage.layout import HEIGHT, WIDTH, draw
from tests.accounts import factories
from tests.deployments.ramps import started
from tests.registry.factories import make_version


def graph(*edges: str) -> Graph:
    """Nodes and edges from "ab bc": a leads to b, b to c."""
    keys = dict.fromkeys(key for edge in edges for key in edge)
    nodes = tuple(Node(key, Kind.VERSION, key) for key in keys)
    return Graph(nodes, tuple(Edge(*edge) for edge in edges))


def test_graph__edges_to_nowhere_and_short_cuts__are_left_out() -> None:
    found = graph("ab", "bc", "ac")
    assert [edge.target for edge in found.reduced().edges] == ["b", "c"]
    cut = Graph(found.nodes[:2], found.edges)
    assert [edge.target for edge in cut.whole().edges] == ["b"]


def test_tree__node_with_two_ways__is_told_once() -> None:
    (root,) = tree(graph("ab", "ac", "bd", "cd"))
    first, second = root.below
    assert [one.again for one in (first.below[0], second.below[0])] == [False, True]
    assert second.below[0].below == ()


def test_draw__diamond_and_late_source__columns_by_longest_path() -> None:
    drawing = draw(graph("ab", "ac", "bd", "cd", "xd"))
    across = {box.node.key: box.x for box in drawing.boxes}
    assert across["a"] < across["b"] == across["c"] == across["x"] < across["d"]
    places = {(box.x, box.y) for box in drawing.boxes}
    assert len(places) == len(drawing.boxes)
    assert all(box.x + WIDTH <= drawing.width for box in drawing.boxes)
    assert all(box.y + HEIGHT <= drawing.height for box in drawing.boxes)
    assert len(drawing.paths) == 5


def test_draw__circle_or_nothing__still_a_picture() -> None:
    assert len(draw(graph("ab", "ba")).boxes) == 2
    assert draw(Graph()).boxes == ()


@pytest.mark.django_db
def test_lineage__deployed_version__from_its_commit_to_its_endpoint(client: Client) -> None:
    ramp = started()
    version = ramp.rollout.candidate
    version.run_id = "6898e7d3130e4d7f"
    version.code_lineage = {"commit": "4f1c9e2ab7d0aa", "entry_point": "train.py"}
    version.data_lineage = {"datasets": [{"name": "bts", "digest": "ab12"}]}
    version.save()
    derived = make_version(number=9, derived_from=version)
    headers = {"Authorization": f"Bearer {factories.token(factories.user(Role.ADMIN))[1]}"}
    path = f"/api/v1/models/{version.model.name}/versions/{version.number}/lineage"
    found = client.get(path, headers=headers).json()
    assert {"data", "code", "run", "version", "endpoint"} <= {
        node["kind"] for node in found["nodes"]
    }
    ways = {(edge["source"], edge["target"]) for edge in found["edges"]}
    assert ("data:bts@ab12", "run:6898e7d3130e4d7f") in ways
    assert (version.key, derived.key) in ways
