"""Lattices: acyclic acceptors of words whose arcs carry costs and transition-ids (Kaldi: lat/kaldi-lattice.h).

Kaldi has two file forms. A CompactLattice has on each arc a word, a weight (graph cost, acoustic cost) and a string of
transition-ids; a Lattice has on each arc at most one transition-id and one word. In memory both are a `Lattice` below:
the second form has strings of at most one transition-id, and arcs without a word (0).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from kaldi.base.log import KaldiError

INF = np.float32(np.inf)
IDENTITY = np.eye(2)


class Strings:
    """A list of integer sequences in two arrays: sequence i is labels[offsets[i]:offsets[i + 1]]."""

    def __init__(self, offsets: np.ndarray, labels: np.ndarray):
        self.offsets, self.labels = np.asarray(offsets, np.int64), np.asarray(labels, np.int32)

    @classmethod
    def of_lengths(cls, lengths: np.ndarray, labels: np.ndarray) -> Strings:
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), labels)

    @classmethod
    def of_lists(cls, sequences: Sequence[Sequence[int]]) -> Strings:
        return cls.of_lengths(
            np.array([len(sequence) for sequence in sequences], np.int64),
            np.array([label for sequence in sequences for label in sequence], np.int32),
        )

    @classmethod
    def none(cls, count: int) -> Strings:
        """That many empty sequences."""
        return cls(np.zeros(count + 1), np.zeros(0))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.labels[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: np.ndarray) -> Strings:
        """The sequences of these indices, in their order."""
        starts = self.offsets[indices]
        lengths = self.offsets[indices + 1] - starts
        return Strings.of_lengths(lengths, self.labels[ranges(starts, lengths)])

    def relabelled(self, new: np.ndarray) -> Strings:
        """The sequences with label new[l] in the place of l; those that become 0 are left out."""
        labels = new[self.labels]
        return Strings(np.concatenate([[0], np.cumsum(labels != 0)])[self.offsets], labels[labels != 0])


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each range, one behind the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


class Lattice:
    """State s has the arcs offsets[s]:offsets[s + 1], int64 [N + 1].

    Arcs: words int32 [A] (0: none), targets int32 [A], weights float32 [A, 2] (graph and acoustic cost), strings
    (transition-ids). States: final_weights float32 [N, 2] (inf: not final), final_strings.
    """

    def __init__(
        self,
        start: int,
        offsets: np.ndarray,
        words: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        strings: Strings,
        final_weights: np.ndarray,
        final_strings: Strings,
    ):
        self.start = start
        self.offsets = offsets
        self.words, self.targets, self.weights, self.strings = words, targets, weights, strings
        self.final_weights, self.final_strings = final_weights, final_strings

    @property
    def num_states(self) -> int:
        return len(self.final_weights)

    @cached_property
    def sources(self) -> np.ndarray:
        """The state that each arc leaves."""
        return np.repeat(np.arange(self.num_states), np.diff(self.offsets))

    @property
    def costs(self) -> np.ndarray:
        """float64 [A]: graph and acoustic cost of each arc together."""
        return self.weights[:, 0].astype(np.float64) + self.weights[:, 1]

    @property
    def final_costs(self) -> np.ndarray:
        """float64 [N]: those of ending in each state."""
        return self.final_weights[:, 0].astype(np.float64) + self.final_weights[:, 1]

    @property
    def final_states(self) -> np.ndarray:
        return np.flatnonzero(self.final_costs < INF)

    def with_weights(self, weights: np.ndarray, final_weights: np.ndarray) -> Lattice:
        """The same lattice with other weights."""
        return Lattice(
            self.start,
            self.offsets,
            self.words,
            self.targets,
            np.asarray(weights, np.float32),
            self.strings,
            np.asarray(final_weights, np.float32),
            self.final_strings,
        )

    def with_labels(self, words: np.ndarray, strings: Strings, final_strings: Strings) -> Lattice:
        """The same lattice with other words and other strings."""
        return Lattice(
            self.start, self.offsets, words, self.targets, self.weights, strings, self.final_weights, final_strings
        )

    def with_targets(self, targets: np.ndarray) -> Lattice:
        """The same lattice with arcs that lead to other states."""
        return Lattice(
            self.start,
            self.offsets,
            self.words,
            targets,
            self.weights,
            self.strings,
            self.final_weights,
            self.final_strings,
        )

    def on_words(self) -> Lattice:
        """The lattice with its words in the place of transition-ids too."""
        has_word = self.words != 0
        strings = Strings.of_lengths(has_word, self.words[has_word])
        return self.with_labels(self.words, strings, Strings.none(self.num_states))

    def scaled(self, scale: np.ndarray) -> Lattice:
        """The lattice with (graph, acoustic) multiplied by scale [2, 2]; the states that are not final stay so."""
        if (scale == IDENTITY).all():
            return self
        final, at = np.full_like(self.final_weights, INF), self.final_states
        final[at] = self.final_weights[at] @ scale.T
        return self.with_weights(self.weights @ scale.T, final)

    def take_arcs(self, keep: np.ndarray, final_weights: np.ndarray | None = None) -> Lattice:
        """The lattice with only the arcs of a mask, and other final weights if given."""
        chosen = np.flatnonzero(keep)
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        return Lattice(
            self.start,
            offsets,
            self.words[chosen],
            self.targets[chosen],
            self.weights[chosen],
            self.strings.take(chosen),
            self.final_weights if final_weights is None else final_weights,
            self.final_strings,
        )

    def take_states(self, order: np.ndarray) -> Lattice:
        """The lattice with only these states, in this order; arcs to other states are dropped."""
        number = np.full(self.num_states, -1, np.int64)
        number[order] = np.arange(len(order))
        counts = np.diff(self.offsets)[order]
        arcs = ranges(self.offsets[:-1][order], counts)
        kept = number[self.targets[arcs]] >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(counts)])]
        arcs = arcs[kept]
        start = int(number[self.start]) if len(order) else -1
        return Lattice(
            start,
            offsets,
            self.words[arcs],
            number[self.targets[arcs]].astype(np.int32),
            self.weights[arcs],
            self.strings.take(arcs),
            self.final_weights[order],
            self.final_strings.take(order),
        )

    def sorted(self) -> Lattice:
        """The lattice with its states in topological order, the start first. Raises KaldiError for a cycle."""
        if self.num_states == 0 or (self.start == 0 and bool((self.targets > self.sources).all())):
            return self
        from kaldi.lat.lattice_core import topological_order

        order = topological_order(np.asarray(self.offsets, np.int64), self.targets, self.start)
        if not len(order):
            raise KaldiError("the lattice has a cycle")
        return self.take_states(order)

    def connected(self) -> Lattice:
        """The sorted lattice without the states that do not lie on a path from the start to a final state."""
        lattice = self.sorted()
        if not lattice.num_states:
            return lattice
        entered, leads_on = np.zeros((2, lattice.num_states), bool)
        entered[lattice.targets] = leads_on[lattice.sources] = leads_on[lattice.final_states] = True
        if entered[1:].all() and leads_on.all():  # as the states are sorted, each is then on a path
            return lattice
        offsets, targets = lattice.offsets.tolist(), lattice.targets.tolist()
        reached = [False] * lattice.num_states
        reached[0] = True
        for state in range(lattice.num_states):
            if reached[state]:
                for target in targets[offsets[state] : offsets[state + 1]]:
                    reached[target] = True
        ends = (lattice.final_costs < INF).tolist()
        for state in range(lattice.num_states - 1, -1, -1):
            ends[state] = ends[state] or any(ends[target] for target in targets[offsets[state] : offsets[state + 1]])
        both = np.array(reached) & np.array(ends)
        return lattice if both.all() else lattice.take_states(np.flatnonzero(both))

    def best_path(self) -> Path | None:
        """The path of the least cost, or None when no final state is reached."""
        if not self.num_states:
            return None
        from kaldi.lat.lattice_core import UNSORTED, best_path

        lattice = self if self.start == 0 else self.sorted()
        offsets = np.asarray(lattice.offsets, np.int64)
        arcs, end = best_path(offsets, lattice.targets, lattice.weights, lattice.final_weights)
        if end == UNSORTED:
            return self.sorted().best_path()
        return Path(lattice, arcs, end) if end >= 0 else None

    @cached_property
    def state_times(self) -> np.ndarray:
        """The frame of each state of a sorted, connected lattice: the number of transition-ids before it."""
        from kaldi.lat.lattice_core import state_times

        return state_times(np.asarray(self.offsets, np.int64), self.targets, self.strings.lengths)

    @property
    def num_frames(self) -> int:
        """The number of frames of a sorted, connected lattice."""
        if not self.num_states:
            return 0
        return int((self.state_times + self.final_strings.lengths)[self.final_states].max())


class Path:
    """A path through a lattice: its arcs and the final state."""

    def __init__(self, lattice: Lattice, arcs: np.ndarray, end: int):
        self.lattice, self.arcs, self.end = lattice, arcs, end

    @property
    def words(self) -> np.ndarray:
        words = self.lattice.words[self.arcs]
        return words[words != 0]

    @property
    def alignment(self) -> np.ndarray:
        """The transition-ids, one a frame."""
        return np.concatenate([self.lattice.strings.take(self.arcs).labels, self.lattice.final_strings[self.end]])

    @property
    def weight(self) -> np.ndarray:
        """Graph and acoustic cost, float64 [2]."""
        return self.lattice.weights[self.arcs].sum(axis=0, dtype=np.float64) + self.lattice.final_weights[self.end]

    def lattice_of_path(self) -> Lattice:
        """The path as a lattice of its own."""
        lattice, count = self.lattice, len(self.arcs)
        final_weights = np.full((count + 1, 2), INF, np.float32)
        final_weights[count] = lattice.final_weights[self.end]
        final_string = lattice.final_strings[self.end]
        lengths = np.zeros(count + 1, np.int64)
        lengths[count] = len(final_string)
        return Lattice(
            0,
            np.minimum(np.arange(count + 2), count),
            lattice.words[self.arcs],
            np.arange(1, count + 1, dtype=np.int32),
            lattice.weights[self.arcs],
            lattice.strings.take(self.arcs),
            final_weights,
            Strings.of_lengths(lengths, final_string),
        )


def linear_lattice(words: np.ndarray, alignment: np.ndarray, graph_cost: float, acoustic_cost: float) -> Lattice:
    """One path: the words one by one on the first arcs with a transition-id each, the last one with all that are left,
    as linear-to-nbest of Kaldi writes it."""
    count = max(len(words), int(len(alignment) > 0))
    lengths = (np.arange(count) < len(alignment)).astype(np.int64)
    lengths[count - 1 :] += max(len(alignment) - count, 0)
    final_weights = np.full((count + 1, 2), INF, np.float32)
    final_weights[count] = graph_cost, acoustic_cost
    return Lattice(
        0,
        np.minimum(np.arange(count + 2), count),
        np.array(words if len(words) else [0] * count, np.int32),
        np.arange(1, count + 1, dtype=np.int32),
        np.zeros((count, 2), np.float32),
        Strings.of_lengths(lengths, alignment),
        final_weights,
        Strings.none(count + 1),
    )


def union(lattices: Sequence[Lattice]) -> Lattice:
    """The paths of all lattices: a new start state leads to theirs."""
    counts = [lattice.num_states for lattice in lattices]
    firsts = 1 + np.cumsum([0, *counts])[:-1]
    starts = [first + lattice.start for first, lattice in zip(firsts.tolist(), lattices, strict=True)]

    def joined(at_start: np.ndarray, name: str) -> np.ndarray:
        return np.concatenate([at_start, *(getattr(lattice, name) for lattice in lattices)])

    def joined_strings(at_start: int, name: str) -> Strings:
        strings = [getattr(lattice, name) for lattice in lattices]
        lengths = [np.zeros(at_start, np.int64), *(each.lengths for each in strings)]
        return Strings.of_lengths(
            np.concatenate(lengths), np.concatenate([np.zeros(0, np.int32), *(each.labels for each in strings)])
        )

    count = len(lattices)
    arcs = [np.diff(lattice.offsets) for lattice in lattices]
    targets = [lattice.targets + first for lattice, first in zip(lattices, firsts, strict=True)]
    return Lattice(
        0,
        np.concatenate([[0], np.cumsum(np.concatenate([[count], *arcs]), dtype=np.int64)]),
        joined(np.zeros(count, np.int32), "words"),
        np.concatenate([np.array(starts, np.int32), *targets]).astype(np.int32),
        joined(np.zeros((count, 2), np.float32), "weights"),
        joined_strings(count, "strings"),
        joined(np.full((1, 2), INF, np.float32), "final_weights"),
        joined_strings(1, "final_strings"),
    )


def expanded(lattice: Lattice) -> Lattice:
    """The lattice with at most one transition-id an arc, and none on final states: Kaldi's Lattice."""
    if (lattice.strings.lengths <= 1).all() and not lattice.final_strings.lengths.any():
        return lattice
    return divided(lattice, np.ones(len(lattice.strings.labels) + len(lattice.final_strings.labels), bool))


def divided(lattice: Lattice, before: np.ndarray) -> Lattice:
    """The lattice with its arcs divided before some transition-ids: `before` is a mask over the strings of the arcs and
    behind them those of the final states, which become arcs too. Word and costs are those of the first piece."""
    arcs, states, final_lengths = len(lattice.words), lattice.num_states, lattice.final_strings.lengths
    begins = np.concatenate([lattice.strings.offsets, lattice.strings.offsets[-1] + lattice.final_strings.offsets[1:]])
    inside = np.append(before, False)
    inside[begins] = False
    pieces = np.diff(np.concatenate([[0], np.cumsum(inside)])[begins])
    pieces += np.concatenate([np.ones(arcs, np.int64), final_lengths > 0])
    of = np.repeat(np.arange(len(pieces)), pieces)  # the string of each piece
    first = np.diff(of, prepend=-1) > 0
    starts = begins[of]
    starts[~first] = np.flatnonzero(inside)
    strings = Strings(
        np.append(starts, len(before)), np.concatenate([lattice.strings.labels, lattice.final_strings.labels])
    )
    # Behind each piece there is a new state, but behind the last one of an arc.
    opens = ~np.append(first[1:], True) | (of >= arcs)
    state = states - 1 + np.cumsum(opens)
    sources = np.where(first, np.append(lattice.sources, np.arange(states))[of], np.roll(state, 1))
    targets = np.where(opens, state, np.append(lattice.targets, np.zeros(states, np.int32))[of])
    order = np.argsort(sources, kind="stable")
    words = np.append(lattice.words, np.zeros(states, np.int32))[of]
    weights = np.concatenate([lattice.weights, lattice.final_weights])[of]
    words[~first], weights[~first] = 0, 0
    final_weights = np.full((states + np.count_nonzero(opens), 2), INF, np.float32)
    final_weights[:states][final_lengths == 0] = lattice.final_weights[final_lengths == 0]
    final_weights[state[(of >= arcs) & np.append(first[1:], True)]] = 0
    return Lattice(
        lattice.start,
        np.searchsorted(sources[order], np.arange(len(final_weights) + 1)),
        words[order],
        targets[order].astype(np.int32),
        weights[order],
        strings.take(order),
        final_weights,
        Strings.none(len(final_weights)),
    )


def joined(lattice: Lattice) -> Lattice:
    """The lattice without the states that one arc enters and one without a word leaves: the two become one, as when
    Kaldi makes a CompactLattice of a Lattice (fst::Factor)."""
    if not lattice.num_states:
        return lattice
    leaving, first = np.diff(lattice.offsets), lattice.offsets[:-1]
    between = (np.bincount(lattice.targets, minlength=lattice.num_states) == 1) & (leaving == 1)
    between &= np.append(lattice.words, 0)[first] == 0
    between[lattice.final_states] = False
    between[lattice.start] = False
    heads = np.flatnonzero(~between[lattice.sources])
    weights, lengths = lattice.weights[heads], lattice.strings.lengths[heads]
    which, at, last = np.arange(len(heads)), heads, heads.copy()
    steps = [(which, at)]
    while len(at):
        goes_on = between[lattice.targets[at]]
        which, at = which[goes_on], first[lattice.targets[at[goes_on]]]
        weights[which] += lattice.weights[at]
        lengths[which] += lattice.strings.lengths[at]
        last[which] = at
        steps.append((which, at))
    whiches, arcs = (np.concatenate(column) for column in zip(*steps, strict=True))
    in_order = arcs[np.argsort(whiches, kind="stable")]
    return Lattice(
        lattice.start,
        np.concatenate([[0], np.cumsum(np.where(between, 0, leaving))]),
        lattice.words[heads],
        lattice.targets[last],
        weights,
        Strings.of_lengths(lengths, lattice.strings.take(in_order).labels),
        lattice.final_weights,
        lattice.final_strings,
    ).take_states(np.flatnonzero(~between))


def transition_ids(lattice: Lattice) -> np.ndarray:
    """The transition-id of each arc of an expanded lattice, 0 for none."""
    labels = np.zeros(len(lattice.words), np.int32)
    labels[lattice.strings.lengths > 0] = lattice.strings.labels
    return labels
