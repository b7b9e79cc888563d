"""The nodes of decision trees, which map events to answers (Kaldi: tree/event-map.h).

An event says what is known of a frame: the pdf class of its HMM state under the key -1, and the phones at the positions
0, 1, ... of the context window. Many events are a matrix int32 [n, 1 + width] with key k in column k + 1; UNKNOWN marks
a key that an event lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import INT_VECTOR_FILE

PDF_CLASS = -1
UNKNOWN = -1


class Leaf(NamedTuple):
    """Every event has this answer (Kaldi's ConstantEventMap, CE)."""

    answer: int


class Table(NamedTuple):
    """The node at the value of the key decides (TableEventMap, TE); None where there is no such value."""

    key: int
    nodes: list[Leaf | Table | Split | None]


class Split(NamedTuple):
    """`yes` decides if the value of the key is in the set, else `no` (SplitEventMap, SE)."""

    key: int
    values: np.ndarray  # sorted
    yes: Leaf | Table | Split
    no: Leaf | Table | Split


Node = Leaf | Table | Split


class Decisions:
    """A tree in arrays, to be asked for many events at a time.

    Inner nodes are numbered from 1. child: int32 [1 + nodes, values + 2], by node and value of its key: the node that
    decides, or ~answer of a leaf, or 0, which is ~UNKNOWN. The last two columns are of higher values and of UNKNOWN.
    """

    def __init__(self, root: Node | None):
        inner: list[Table | Split] = []
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node and not isinstance(node, Leaf):
                inner.append(node)
                waiting += node.nodes if isinstance(node, Table) else (node.yes, node.no)
        numbers = {id(node): number for number, node in enumerate(inner, 1)}

        def code(node: Node | None) -> int:
            return ~node.answer if isinstance(node, Leaf) else numbers.get(id(node), ~UNKNOWN)

        highest = [len(node.nodes) - 1 if isinstance(node, Table) else node.values.max(initial=0) for node in inner]
        self.root, self.values = code(root), 1 + max(highest, default=0)
        self.keys = np.array([0, *(node.key for node in inner)])
        self.child = np.full((len(self.keys), self.values + 2), ~UNKNOWN, np.int32)
        for row, node in zip(self.child[1:], inner, strict=True):
            if isinstance(node, Table):
                row[: len(node.nodes)] = [code(child) for child in node.nodes]
            else:
                row[:-1] = code(node.no)
                row[node.values] = code(node.yes)

    def answers(self, events: np.ndarray) -> np.ndarray:
        """int32 [n], the answers to events [n, 1 + width]; UNKNOWN where the tree asks for a key that is not there."""
        answers = np.full(len(events), UNKNOWN, np.int32)
        rows: np.ndarray = np.arange(len(events))  # of the events that are on their way, and at which node they are
        at: np.ndarray = np.full(len(events), self.root, np.int32)
        while len(rows):
            inner = at > 0
            answers[rows[~inner]] = ~at[~inner]
            rows, at = rows[inner], at[inner]
            at = self.child[at, np.minimum(events[rows, self.keys[at] + 1], self.values)]
        return answers


def map_events(node: Node | None, events: np.ndarray) -> np.ndarray:
    """Answers int32 [n] of a tree to the events [n, 1 + width], as `Decisions.answers`."""
    return Decisions(node).answers(events)


def possible_answers(node: Node | None, event: dict[int, int]) -> set[int]:
    """All answers that an event can have whose other keys are open."""
    if node is None:
        return set()
    if isinstance(node, Leaf):
        return {node.answer}
    value = event.get(node.key)
    if isinstance(node, Table):
        if value is not None:
            return possible_answers(node.nodes[value], event) if value < len(node.nodes) else set()
        branches = node.nodes
    elif value is not None:
        branches = [node.yes if value in node.values else node.no]
    else:
        branches = [node.yes, node.no]
    return set().union(*(possible_answers(branch, event) for branch in branches))


def regions(node: Node | None, domain: dict[int, np.ndarray]) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
    """(answer, part of the domain) for the parts of a domain, values of each key, whose events a leaf answers."""
    if isinstance(node, Leaf):
        yield node.answer, domain
    elif isinstance(node, Table):
        for value in domain[node.key].tolist():
            if value < len(node.nodes):
                yield from regions(node.nodes[value], {**domain, node.key: np.array([value])})
    elif isinstance(node, Split):
        values = domain[node.key]
        inside = np.isin(values, node.values)
        for branch, part in ((node.yes, values[inside]), (node.no, values[~inside])):
            if len(part):
                yield from regions(branch, {**domain, node.key: part})


def replace_leaves(node: Node, replacement: Callable[[int], Node]) -> Node:
    """A copy of the tree with another node in the place of each leaf."""
    if isinstance(node, Leaf):
        return replacement(node.answer)
    if isinstance(node, Table):
        return Table(node.key, [child and replace_leaves(child, replacement) for child in node.nodes])
    yes, no = replace_leaves(node.yes, replacement), replace_leaves(node.no, replacement)
    return Split(node.key, node.values, yes, no)


# ---- files ----


def read_node(reader: Reader, binary: bool) -> Node | None:
    kind = reader.expect("CE", "TE", "SE", "NULL")
    if kind == "NULL":
        return None
    number = reader.integer(binary)
    if kind == "CE":
        return Leaf(number)
    if kind == "TE":
        size = reader.integer(binary)
        reader.expect("(")
        nodes = [read_node(reader, binary) for _ in range(size)]
        reader.expect(")")
        return Table(number, nodes)
    values = np.sort(INT_VECTOR_FILE.read(reader, binary))
    reader.expect("{")
    yes, no = read_node(reader, binary), read_node(reader, binary)
    reader.expect("}")
    if yes is None or no is None:
        raise KaldiError(f"{reader.name}: a question of the tree lacks an answer (a damaged file)")
    return Split(number, values, yes, no)


def write_unsigned(out: Output, value: int, binary: bool) -> None:
    """A uint32, whose size Kaldi writes as a negative number."""
    out.write(b"\xfc" + value.to_bytes(4, "little")) if binary else out.integer(value, False)


def write_node(out: Output, node: Node | None, binary: bool) -> None:
    if node is None:
        out.token("NULL")
        return
    out.token({Leaf: "CE", Table: "TE", Split: "SE"}[type(node)])
    out.integer(node[0], binary)
    if isinstance(node, Table):
        write_unsigned(out, len(node.nodes), binary)
        out.token("(")
        for child in node.nodes:
            write_node(out, child, binary)
        out.write(b") " if binary else b") \n")
    elif isinstance(node, Split):
        INT_VECTOR_FILE.write(out, node.values, binary)
        out.token("{")
        write_node(out, node.yes, binary)
        write_node(out, node.no, binary)
        out.write(b"} " if binary else b"} \n")
