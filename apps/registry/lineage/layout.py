"""A layered drawing of a lineage: columns by longest path, rows by their neighbours' middle.

After Sugiyama, Tagawa and Toda (1981), without the dummy nodes of long edges: such an edge is a
curve that passes behind. Pure: the same graph is always drawn alike.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.registry.lineage.graph import Edge, Graph, Node

WIDTH, HEIGHT = 160, 58
GAP_ACROSS, GAP_DOWN = 40, 18
MARGIN = 4
SWEEPS = 4
TITLE_LETTERS, WORDS_LETTERS = 20, 22


@dataclass(frozen=True)
class Box:
    """A node's place: its upper left corner, in the units of the drawing."""

    node: Node
    x: float
    y: float

    @property
    def title(self) -> str:
        """The title, cut to the box."""
        return _cut(self.node.title, TITLE_LETTERS)

    @property
    def words(self) -> str:
        """The words, cut to the box."""
        return _cut(self.node.words, WORDS_LETTERS)


@dataclass(frozen=True)
class Drawing:
    """Boxes, the paths between them (SVG path data), and the size of the whole."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    width: float
    height: float


def draw(graph: Graph) -> Drawing:
    """The graph from left to right; edges that would close a circle are left out of the columns."""
    columns = _ordered(_columns(graph), graph.edges)
    height = max((_column_height(column) for column in columns), default=0.0)
    nodes = {node.key: node for node in graph.nodes}
    boxes = {
        key: Box(
            nodes[key],
            MARGIN + across * (WIDTH + GAP_ACROSS),
            MARGIN + (height - _column_height(column)) / 2 + down * (HEIGHT + GAP_DOWN),
        )
        for across, column in enumerate(columns)
        for down, key in enumerate(column)
    }
    return Drawing(
        boxes=tuple(boxes.values()),
        paths=tuple(_path(boxes[edge.source], boxes[edge.target]) for edge in graph.edges),
        width=2 * MARGIN + len(columns) * (WIDTH + GAP_ACROSS) - (GAP_ACROSS if columns else 0),
        height=2 * MARGIN + height,
    )


def _column_height(column: Sequence[str]) -> float:
    return len(column) * (HEIGHT + GAP_DOWN) - GAP_DOWN


def _columns(graph: Graph) -> list[list[str]]:
    """Keys by the length of the longest path that leads to them; sources move up to their first
    successor, so that the run stands beside the version and not at the far left."""
    after, before = _neighbours(graph.edges)
    depth: dict[str, int] = {}

    def deep(key: str, path: frozenset[str]) -> int:
        if key not in depth:
            above = [one for one in before[key] if one not in path]
            depth[key] = max((deep(one, path | {key}) + 1 for one in above), default=0)
        return depth[key]

    for node in graph.nodes:
        deep(node.key, frozenset())
    for node in graph.nodes:
        if not before[node.key] and after[node.key]:
            depth[node.key] = max(0, min(depth[one] for one in after[node.key]) - 1)
    columns: dict[int, list[str]] = defaultdict(list)
    for node in graph.nodes:
        columns[depth[node.key]].append(node.key)
    return [columns[number] for number in sorted(columns)]


def _neighbours(edges: Sequence[Edge]) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    after: dict[str, list[str]] = defaultdict(list)
    before: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        after[edge.source].append(edge.target)
        before[edge.target].append(edge.source)
    return after, before


def _ordered(columns: list[list[str]], edges: Sequence[Edge]) -> list[list[str]]:
    """Each column sorted by the middle of its neighbours, to and fro until edges cross little."""
    after, before = _neighbours(edges)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        beside = before if forward else after
        for column in columns if forward else reversed(columns):
            place = {key: row / len(one) for one in columns for row, key in enumerate(one)}
            column.sort(key=lambda key: _middle(key, beside, place))
    return columns


def _middle(key: str, beside: Mapping[str, list[str]], place: Mapping[str, float]) -> float:
    near = [place[one] for one in beside[key]]
    return sum(near) / len(near) if near else place[key]


def _path(source: Box, target: Box) -> str:
    """A curve from the right of one box to the left of the other."""
    x1, y1 = source.x + WIDTH, source.y + HEIGHT / 2
    x2, y2 = target.x, target.y + HEIGHT / 2
    bend = (x1 + x2) / 2
    return f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2:g} {y2:g}"


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
