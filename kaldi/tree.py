"""Phonetic-context decision trees (Kaldi: tree/event-map.h, tree/context-dep.h).

An event says what is known of a frame: the pdf class of its HMM state under the key -1, and the phones at the positions
0, 1, ... of the context window. Many events are a matrix int32 [n, 1 + width] with key k in column k + 1; UNKNOWN marks
a key that an event lacks. A tree maps events to pdf-ids.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kaldi.hmm import HmmTopology, TransitionModel
from kaldi.io import Output, Reader
from kaldi.log import KaldiError, warn
from kaldi.table import INT_VECTOR_FILE, Kind, read_file

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


def map_events(node: Node | None, events: np.ndarray) -> np.ndarray:
    """Answers int32 [n] to the events [n, 1 + width]; UNKNOWN where a tree asks for a key that the event lacks."""
    answers = np.full(len(events), UNKNOWN, np.int32)

    def walk(node: Node | None, rows: np.ndarray) -> None:
        if node is None or not len(rows):
            return
        if isinstance(node, Leaf):
            answers[rows] = node.answer
            return
        values = events[rows, node.key + 1]
        if isinstance(node, Table):
            for value in np.unique(values):
                if 0 <= value < len(node.nodes):
                    walk(node.nodes[value], rows[values == value])
            return
        inside = np.isin(values, node.values)
        walk(node.yes, rows[inside])
        walk(node.no, rows[~inside & (values != UNKNOWN)])

    walk(node, np.arange(len(events)))
    return answers


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


def replace_leaves(node: Node | None, replacement: Callable[[int], Node]) -> Node | None:
    """A copy of the tree with another node in the place of each leaf."""
    if node is None:
        return None
    if isinstance(node, Leaf):
        return replacement(node.answer)
    if isinstance(node, Table):
        return Table(node.key, [replace_leaves(child, replacement) for child in node.nodes])
    yes, no = replace_leaves(node.yes, replacement), replace_leaves(node.no, replacement)
    return Split(node.key, node.values, yes, no)


class ContextDependency:
    """A tree over windows of `width` phones that models the one at `central`, from 0. Phone 0 is beyond the ends."""

    def __init__(self, width: int, central: int, root: Node):
        self.width, self.central, self.root = width, central, root

    @cached_property
    def num_pdfs(self) -> int:
        return 1 + max(possible_answers(self.root, {}), default=-1)

    def compute_all(self, windows: np.ndarray, pdf_classes: np.ndarray) -> np.ndarray:
        """Pdf-ids int32 [n] of windows [n, width] and pdf classes [n]. Raises KaldiError for phones that
        the tree does not know."""
        events = np.column_stack([pdf_classes, windows]).astype(np.int32)
        pdfs = map_events(self.root, events)
        if (pdfs < 0).any():
            bad = events[np.flatnonzero(pdfs < 0)[0]].tolist()
            raise KaldiError(
                f"the tree has no pdf for the phones {bad[1:]} and pdf class {bad[0]} "
                "(do the tree and the lang directory belong together?)"
            )
        return pdfs

    def pdfs_of(self, phone: int, pdf_class: int) -> list[int]:
        """The pdf-ids that a pdf class of a phone can have, in any context."""
        return sorted(possible_answers(self.root, {self.central: phone, PDF_CLASS: pdf_class}))


def init_transition_model(tree: ContextDependency, topology: HmmTopology) -> TransitionModel:
    """The transition model of a new system, with the topology's probabilities. Raises KaldiError if they do not fit."""
    if not topology.is_hmm:
        raise KaldiError("a topology with different pdfs on self-loops (a chain topology) cannot start a GMM system")
    tuples = []
    for phone in topology.phones.tolist():
        for pdf_class in range(topology.num_pdf_classes(phone)):
            pdfs = tree.pdfs_of(phone, pdf_class)
            if not pdfs:
                warn(f"the tree has no pdf for pdf class {pdf_class} of phone {phone}: that phone cannot be used")
            states = [i for i, s in enumerate(topology.states(phone)) if s.forward_pdf_class == pdf_class]
            tuples += [(phone, state, pdf, pdf) for pdf in pdfs for state in states]
    if not tuples:
        raise KaldiError("the tree and the topology have no phone in common")
    return TransitionModel(topology, np.array(sorted(tuples)))


def stub_tree(
    key: int, phone_sets: list[list[int]], num_pdf_classes: Callable[[int], int], share_roots: list[bool]
) -> tuple[Node, int]:
    """The tree before any question is asked, and its number of leaves.

    A set of phones has one leaf if it shares its root, else a leaf for each pdf class.
    """
    count = 0

    def leaf() -> Leaf:
        nonlocal count
        count += 1
        return Leaf(count - 1)

    def build(sets: list[list[int]], shared: list[bool]) -> Node:
        if len(sets) == 1:
            if shared[0]:
                return leaf()
            return Table(PDF_CLASS, [leaf() for _ in range(max(num_pdf_classes(phone) for phone in sets[0]))])
        if max(map(len, sets)) == 1 and len(sets) <= 2 * max(s[0] for s in sets):
            nodes: list[Node | None] = [None] * (1 + max(s[0] for s in sets))
            for phones, share in zip(sets, shared, strict=True):
                nodes[phones[0]] = build([phones], [share])
            return Table(key, nodes)
        half = len(sets) // 2
        values = np.array(sorted(sum(sets[:half], [])), np.int32)
        yes = build(sets[:half], shared[:half])
        return Split(key, values, yes, build(sets[half:], shared[half:]))

    phones = sum(phone_sets, [])
    if not phones or not all(phone_sets) or len(set(phones)) < len(phones):
        raise KaldiError("the sets of phones must not be empty, and no phone may be in two of them")
    return build(phone_sets, share_roots), count


def monophone_tree(phone_sets: list[list[int]], topology: HmmTopology) -> ContextDependency:
    """The tree of a context-independent system: a pdf for each pdf class of each set of phones."""
    root, _ = stub_tree(0, phone_sets, topology.num_pdf_classes, [False] * len(phone_sets))
    return ContextDependency(1, 0, root)


# ---- files ----


def _read_node(reader: Reader, binary: bool) -> Node | None:
    kind = reader.expect("CE", "TE", "SE", "NULL")
    if kind == "NULL":
        return None
    number = reader.integer(binary)
    if kind == "CE":
        return Leaf(number)
    if kind == "TE":
        size = reader.integer(binary)
        reader.expect("(")
        nodes = [_read_node(reader, binary) for _ in range(size)]
        reader.expect(")")
        return Table(number, nodes)
    values = np.sort(INT_VECTOR_FILE.read(reader, binary))
    reader.expect("{")
    yes, no = _read_node(reader, binary), _read_node(reader, binary)
    reader.expect("}")
    if yes is None or no is None:
        raise KaldiError(f"{reader.name}: a question of the tree lacks an answer (a damaged file)")
    return Split(number, values, yes, no)


def write_unsigned(out: Output, value: int, binary: bool) -> None:
    """A uint32, whose size Kaldi writes as a negative number."""
    out.write(b"\xfc" + value.to_bytes(4, "little")) if binary else out.integer(value, False)


def _write_node(out: Output, node: Node | None, binary: bool) -> None:
    if node is None:
        out.token("NULL")
        return
    out.token({Leaf: "CE", Table: "TE", Split: "SE"}[type(node)])
    out.integer(node[0], binary)
    if isinstance(node, Table):
        write_unsigned(out, len(node.nodes), binary)
        out.token("(")
        for child in node.nodes:
            _write_node(out, child, binary)
        out.write(b") " if binary else b") \n")
    elif isinstance(node, Split):
        INT_VECTOR_FILE.write(out, node.values, binary)
        out.token("{")
        _write_node(out, node.yes, binary)
        _write_node(out, node.no, binary)
        out.write(b"} " if binary else b"} \n")


def _read_tree(reader: Reader, binary: bool) -> ContextDependency:
    reader.expect("ContextDependency")
    width, central = reader.integer(binary), reader.integer(binary)
    if reader.expect("ToPdf", "ToLength") == "ToLength":  # an old format
        _read_node(reader, binary)
        reader.expect("ToPdf")
    root = _read_node(reader, binary)
    reader.expect("EndContextDependency")
    if root is None or not 0 <= central < width:
        raise KaldiError(f"{reader.name}: not a usable tree (a damaged file)")
    return ContextDependency(width, central, root)


def _write_tree(out: Output, tree: ContextDependency, binary: bool) -> None:
    out.token("ContextDependency")
    out.integer(tree.width, binary)
    out.integer(tree.central, binary)
    out.token("ToPdf")
    _write_node(out, tree.root, binary)
    out.token("EndContextDependency")


TREE = Kind("decision tree", _read_tree, _write_tree)


def read_tree(rxfilename: str) -> ContextDependency:
    return read_file(rxfilename, TREE)
