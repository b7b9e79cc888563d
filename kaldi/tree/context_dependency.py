"""Phonetic-context decision trees: from a window of phones and a pdf class to a pdf-id (Kaldi: tree/context-dep.h)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.hmm.topology import HmmTopology
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.event_map import (
    PDF_CLASS,
    Leaf,
    Node,
    Split,
    Table,
    map_events,
    possible_answers,
    read_node,
    write_node,
)
from kaldi.util.io import Output, Reader
from kaldi.util.kinds import Kind
from kaldi.util.table import read_file


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


def _read_tree(reader: Reader, binary: bool) -> ContextDependency:
    reader.expect("ContextDependency")
    width, central = reader.integer(binary), reader.integer(binary)
    if reader.expect("ToPdf", "ToLength") == "ToLength":  # an old format
        read_node(reader, binary)
        reader.expect("ToPdf")
    root = read_node(reader, binary)
    reader.expect("EndContextDependency")
    if root is None or not 0 <= central < width:
        raise KaldiError(f"{reader.name}: not a usable tree (a damaged file)")
    return ContextDependency(width, central, root)


def _write_tree(out: Output, tree: ContextDependency, binary: bool) -> None:
    out.token("ContextDependency")
    out.integer(tree.width, binary)
    out.integer(tree.central, binary)
    out.token("ToPdf")
    write_node(out, tree.root, binary)
    out.token("EndContextDependency")


TREE = Kind("decision tree", _read_tree, _write_tree)


def read_tree(rxfilename: str) -> ContextDependency:
    return read_file(rxfilename, TREE)
