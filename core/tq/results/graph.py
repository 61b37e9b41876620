"""The tree of results that one task set off, as a graph."""

from collections.abc import Iterator
from typing import Any

__all__ = ["ResultGraph"]


class ResultGraph:
    """Results as nodes, `started` as edges; nodes keep the order in which they were added."""

    def __init__(self) -> None:
        """Start empty."""
        self._children: dict[Any, list[Any]] = {}

    def add_arc(self, node: Any) -> None:
        """Add a node without edges."""
        self._children.setdefault(node, [])

    def add_edge(self, parent: Any, child: Any) -> None:
        """Add an edge, and its nodes where they are new."""
        self.add_arc(child)
        self._children.setdefault(parent, []).append(child)

    def edges(self) -> list[Any]:
        """Return the nodes that have children."""
        return [node for node, children in self._children.items() if children]

    def valency_of(self, node: Any) -> int:
        """Count the nodes below and including `node`; shared ones count each time."""
        stack, count = [node], 0
        while stack:
            count += 1
            stack.extend(self._children.get(stack.pop(), ()))
        return count

    def topsort(self) -> list[Any]:
        """Return the nodes with children before their parents."""
        seen: set[Any] = set()
        order: list[Any] = []
        for start in self._children:
            stack = [(start, False)]
            while stack:
                node, left = stack.pop()
                if left:
                    order.append(node)
                elif node not in seen:
                    seen.add(node)
                    stack.append((node, True))
                    stack.extend((child, False) for child in self._children.get(node, ()))
        return order

    def to_dot(self) -> str:
        """Describe the graph in Graphviz' language."""
        lines = ["digraph results {"]
        for node, children in self._children.items():
            lines.append(f'  "{node}";')
            lines.extend(f'  "{node}" -> "{child}";' for child in children)
        return "\n".join([*lines, "}"])

    def items(self) -> Iterator[tuple[Any, list[Any]]]:
        """Iterate over (node, its children)."""
        return iter(self._children.items())

    def __contains__(self, node: object) -> bool:
        """Tell whether a node is there."""
        return node in self._children

    def __getitem__(self, node: Any) -> list[Any]:
        """Return a node's children."""
        return self._children[node]

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the nodes."""
        return iter(self._children)

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self._children)
