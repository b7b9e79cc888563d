"""Building a decision tree: greedy splits by the gain in likelihood, then merging of like leaves
(Kaldi: tree/build-tree.cc; Young, Odell, Woodland 1994, "Tree-based state tying for high accuracy acoustic modelling").
"""

from __future__ import annotations

import heapq
import re
from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, log, warn
from kaldi.hmm.topology import HmmTopology
from kaldi.tree.clustering import cluster_bottom_up, refine
from kaldi.tree.context_dependency import ContextDependency, stub_tree
from kaldi.tree.event_map import UNKNOWN, Leaf, Node, Split, map_events, possible_answers, replace_leaves
from kaldi.tree.questions import Questions
from kaldi.tree.stats import TreeStats, objf, sum_by


class Roots(NamedTuple):
    """A line of a roots file: phones, whether their pdf classes share a root, whether it may be split."""

    phones: list[int]
    shared: bool
    split: bool


def parse_roots(lines: list[str], name: str) -> list[Roots]:
    """The lines `shared|not-shared split|not-split phone ...` of a roots file. Raises KaldiError."""
    roots = []
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"\s*(not-)?shared\s+(not-)?split((\s+[1-9]\d*)+)\s*", line)
        phones = sorted(map(int, match[3].split())) if match else []
        if not match or len(set(phones)) < len(phones):
            raise KaldiError(f"{name}: line {number} is not '[not-]shared [not-]split phone-id ...': {line[:60]!r}")
        roots.append(Roots(phones, not match[1], not match[2]))
    if not roots:
        raise KaldiError(f"{name}: the roots file is empty")
    return roots


class Best(NamedTuple):
    """The best question of a leaf; gain 0 if no question splits it."""

    gain: float
    key: int
    values: np.ndarray


class Splitter:
    """Finds the best question for sets of statistics."""

    def __init__(self, stats: TreeStats, questions: Questions):
        self.stats, self.questions = stats, questions
        self.size = 1 + int(stats.events.max(initial=0))  # values of keys are below
        self.size = max([self.size, *(1 + max(map(max, q.sets)) for q in questions.values() if q.sets)])
        self.masks = {}
        for key, question in questions.items():
            mask = np.zeros((len(question.sets), self.size))
            for row, values in enumerate(question.sets):
                mask[row, values] = 1.0
            self.masks[key] = mask

    def best(self, rows: np.ndarray) -> Best:
        """The best question for these rows of the statistics."""
        found = Best(0.0, 0, np.zeros(0, np.int32))
        if len(rows) < 2:
            return found
        total = objf(self.stats.sums[rows].sum(axis=0), self.stats.var_floor).astype(np.float32)
        for key in sorted(self.questions):
            candidate = self._best_for(key, rows, total)
            if candidate and candidate.gain > found.gain:
                found = candidate
        return found

    def _best_for(self, key: int, rows: np.ndarray, total: np.ndarray) -> Best | None:
        values = self.stats.events[rows, key + 1] if key + 1 < self.stats.events.shape[1] else np.array([UNKNOWN])
        question = self.questions[key]
        if (values == UNKNOWN).any() or not question.sets:
            return None
        counts = np.bincount(values)
        present = np.flatnonzero(counts)
        starts = np.cumsum(counts[present]) - counts[present]
        sums = np.add.reduceat(self.stats.sums[rows[np.argsort(values, kind="stable")]], starts, axis=0)
        answers = self.masks[key][:, present]
        numbers = np.flatnonzero(answers.any(axis=1) & ~answers.all(axis=1))  # the others divide nothing
        gain, chosen, floor = 0.0, [], self.stats.var_floor
        if len(numbers):
            yes = answers[numbers] @ sums
            # single precision, as Kaldi: questions that divide the data equally must tie, so that the first one wins
            gains = objf(np.stack([yes, sums.sum(axis=0) - yes]), floor).astype(np.float32).sum(axis=0) - total
            best = int(np.argmax(gains))
            if gains[best] > 0:
                gain, chosen = float(gains[best]), question.sets[numbers[best]]
        if question.refine_iterations:
            sides = np.isin(present, chosen).astype(int)
            gain += refine(sums, sides, 2, floor, question.refine_iterations)
            chosen = present[sides == 1].tolist()
        return Best(gain, key, np.array(chosen, np.int32))


class Splits(NamedTuple):
    """The outcome of splitting: the node in the place of each old leaf, and totals."""

    nodes: dict[int, Node]
    num_leaves: int
    gain: float
    smallest: float


def split_leaves(
    stub: Node, num_leaves: int, stats: TreeStats, questions: Questions, threshold: float, max_leaves: int
) -> Splits:
    """Split leaves, the one with the largest gain first, while it is above the threshold and leaves are left."""
    splitter = Splitter(stats, questions)
    leaf_of = map_events(stub, stats.events)
    if (leaf_of == UNKNOWN).any():
        raise KaldiError("the roots file lacks phones that the statistics have (or their pdf class)")
    rows_of = {int(leaf): np.flatnonzero(leaf_of == leaf) for leaf in np.unique(leaf_of)}
    best_of = {leaf: splitter.best(rows) for leaf, rows in rows_of.items()}
    queue = [(-best.gain, -leaf, leaf, leaf) for leaf, best in best_of.items()]
    heapq.heapify(queue)
    history: dict[int, list[tuple[Best, int]]] = {}  # the splits of a leaf, each with the new leaf of its `no` side
    gain, smallest, count = 0.0, 1e10, 0
    while queue and -queue[0][0] > threshold and (max_leaves <= 0 or num_leaves < max_leaves):
        loss, _, leaf, root = heapq.heappop(queue)
        best, rows = best_of[leaf], rows_of[leaf]
        inside = np.bincount(best.values, minlength=splitter.size)[stats.events[rows, best.key + 1]] > 0
        new, num_leaves = num_leaves, num_leaves + 1
        rows_of[leaf], rows_of[new] = rows[inside], rows[~inside]
        history.setdefault(leaf, []).append((best, new))
        for child in (leaf, new):
            best_of[child] = splitter.best(rows_of[child])
            heapq.heappush(queue, (-best_of[child].gain, -root, child, root))
        gain, smallest, count = gain - loss, min(smallest, -loss), count + 1
    log(f"{count} splits, {num_leaves} leaves")

    def node(leaf: int, step: int) -> Node:
        steps = history.get(leaf, [])
        if step == len(steps):
            return Leaf(leaf)
        best, other = steps[step]
        return Split(best.key, best.values, node(leaf, step + 1), node(other, 0))

    return Splits({leaf: node(leaf, 0) for leaf in np.unique(leaf_of).tolist()}, num_leaves, gain, smallest)


def merge_leaves(root: Node, stub: Node, stats: TreeStats, threshold: float, min_leaves: int) -> tuple[Node, int]:
    """Merge leaves under the same leaf of `stub`, the cheapest first, and the number of leaves that this removed."""
    leaf_of, stub_of = map_events(root, stats.events), map_events(stub, stats.events)
    members = [np.unique(leaf_of[stub_of == s]) for s in np.unique(stub_of)]
    sums = sum_by(leaf_of, stats.sums, int(leaf_of.max()) + 1)
    clusters = cluster_bottom_up([sums[leaves] for leaves in members], stats.var_floor, threshold, min_leaves)
    target: dict[int, int] = {}
    for leaves, assigned in zip(members, clusters, strict=True):
        target.update(zip(leaves.tolist(), leaves[assigned].tolist(), strict=True))
    merged = replace_leaves(root, lambda leaf: Leaf(target.get(leaf, leaf)))
    return merged, len(target) - len(set(target.values()))


def renumber(root: Node) -> tuple[Node, int]:
    """The tree with leaves 0, 1, 2, ... in the order of their old numbers, and how many there are."""
    order = {leaf: number for number, leaf in enumerate(sorted(possible_answers(root, {})))}
    return replace_leaves(root, lambda leaf: Leaf(order[leaf])), len(order)


def build_tree(
    stats: TreeStats,
    roots: list[Roots],
    questions: Questions,
    topology: HmmTopology,
    *,
    width: int,
    central: int,
    threshold: float,
    max_leaves: int,
    cluster_threshold: float,
    round_num_leaves: bool,
) -> ContextDependency:
    """The tree of a context-dependent system. Raises KaldiError if roots, topology and statistics do not fit.

    A negative `cluster_threshold` stands for the gain of the last split, 0 for no merging of leaves;
    `round_num_leaves` merges on until their number is a multiple of 8.
    """
    sets, shared = [root.phones for root in roots], [root.shared for root in roots]
    stub, num_leaves = stub_tree(central, sets, topology.num_pdf_classes, shared)
    log(f"{num_leaves} leaves before any split")
    listed = {phone for phones in sets for phone in phones}
    seen = set(stats.key(central).tolist())
    if seen - listed:
        raise KaldiError(f"phone {min(seen - listed)} is in the statistics but not in the roots file")
    if listed - seen:
        warn(f"no statistics for the phones {' '.join(map(str, sorted(listed - seen)))}")
    fixed = [phone for root in roots if not root.split for phone in root.phones]
    split_stats = stats.subset(~np.isin(stats.key(central), fixed))
    splits = split_leaves(stub, num_leaves, split_stats, questions, threshold, max_leaves)
    frames, split_frames = stats.sums[:, -1].sum(), split_stats.sums[:, -1].sum()
    log(f"log-likelihood per frame rises by {splits.gain / frames:.7g} over {frames:.7g} frames")
    log(
        f"Including just phones that were split, improvement is {splits.gain / max(split_frames, 1.0):.7g} per frame "
        f"over {split_frames:.7g} frames."
    )
    root = replace_leaves(stub, lambda leaf: splits.nodes.get(leaf, Leaf(leaf)))
    num_leaves = splits.num_leaves
    if cluster_threshold:
        if cluster_threshold < 0:
            cluster_threshold = splits.smallest
            log(f"leaves are merged up to a loss of {cluster_threshold:.7g}, what the last split gained")
        root, removed = merge_leaves(root, stub, stats, cluster_threshold, 0)
        num_leaves -= removed
        log(f"{removed} leaves merged with others")
    if round_num_leaves:
        # Kaldi counts roots without statistics only up to the last root that has some, and its leaf numbers show it.
        seen_roots = np.unique(map_events(stub, stats.events))
        num_roots, wanted = int(seen_roots[-1]) + 1, num_leaves // 8 * 8
        if wanted >= num_roots:
            root, removed = merge_leaves(root, stub, stats, np.inf, wanted - (num_roots - len(seen_roots)))
            log(f"{removed} more leaves merged, for a multiple of 8")
    root, num_leaves = renumber(root)
    log(f"{num_leaves} leaves in the end")
    return ContextDependency(width, central, root)
