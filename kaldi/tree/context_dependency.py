"""Phonetic-context decision trees: from a window of phones and a pdf class to a pdf-id (Kaldi: tree/context-dep.h)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.hmm.topology import NO_PDF, HmmTopology
from kaldi.hmm.transition_model import TransitionModel
from kaldi.tree.event_map import (
    PDF_CLASS,
    Decisions,
    Leaf,
    Node,
    Split,
    Table,
    possible_answers,
    read_node,
    regions,
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

    @cached_property
    def _decisions(self) -> Decisions:
        return Decisions(self.root)

    def compute_all(self, windows: np.ndarray, pdf_classes: np.ndarray) -> np.ndarray:
        """Pdf-ids int32 [n] of windows [n, width] and pdf classes [n]. Raises KaldiError for phones that
        the tree does not know."""
        events = np.column_stack([pdf_classes, windows]).astype(np.int32)
        pdfs = self._decisions.answers(events)
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

    def pdf_pairs_of(self, phone: int, pdf_classes: tuple[int, int], phones: np.ndarray) -> list[tuple[int, int]]:
        """The pairs of pdf-ids that two pdf classes of a phone can have in one context of these phones."""
        first, second = (np.array([pdf_class]) for pdf_class in pdf_classes)
        around = {position: np.append(0, phones) for position in range(self.width)}
        domain = {**around, self.central: np.array([phone]), PDF_CLASS: first}
        pairs = {
            (pdf, other)
            for pdf, part in regions(self.root, domain)
            for other, _ in regions(self.root, {**part, PDF_CLASS: second})
        }
        return sorted(pairs)


def init_transition_model(tree: ContextDependency, topology: HmmTopology) -> TransitionModel:
    """The transition model of a new system, with the topology's probabilities. Raises KaldiError if they do not fit."""
    tuples = []
    for phone in topology.phones.tolist():
        states: dict[tuple[int, int], list[int]] = {}
        for number, (*classes, _) in enumerate(topology.states(phone)):
            if NO_PDF not in classes:
                states.setdefault((classes[0], classes[1]), []).append(number)
        for (forward, loop), numbers in sorted(states.items()):
            if forward == loop:
                pairs = [(pdf, pdf) for pdf in tree.pdfs_of(phone, forward)]
            else:
                pairs = tree.pdf_pairs_of(phone, (forward, loop), topology.phones)
            if not pairs:
                name = f"pdf class {forward}" if forward == loop else f"pdf classes {forward} and {loop}"
                warn(f"the tree has no pdf for {name} of phone {phone}: that phone cannot be used")
            tuples += [(phone, state, *pair) for pair in pairs for state in numbers]
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
