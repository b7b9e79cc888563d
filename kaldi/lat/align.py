"""Word alignment of lattices: one arc a word, with exactly its transition-ids (Kaldi: lat/word-align-lattice.h)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.log import KaldiError, warn
from kaldi.hmm.transition_model import TransitionModel
from kaldi.lat.lattice import INF, Lattice, Strings
from kaldi.util.io import read_lines

KINDS = ("begin", "end", "singleton", "internal", "nonword")


class WordBoundaries:
    """What the aligner asks of transition-ids: lists indexed by transition-id."""

    def __init__(self, model: TransitionModel, kind_of_phone: dict[int, str], reorder: bool = True):
        self.phone = model.id2phone.tolist()
        self.leaves = model.is_final.astype(bool).tolist()
        self.loop = model.is_self_loop.astype(bool).tolist()
        self.kind = [kind_of_phone.get(phone, "") for phone in self.phone]
        self.reorder = reorder


def read_word_boundaries(rxfilename: str) -> dict[int, str]:
    """The kind of each phone in a word_boundary.int file: lines `phone begin|end|singleton|internal|nonword`."""
    kinds = {}
    for number, line in enumerate(read_lines(rxfilename), 1):
        words = line.split()
        if len(words) != 2 or not words[0].isdigit() or words[1] not in KINDS:
            raise KaldiError(f"{rxfilename}: line {number} is not a phone and one of {', '.join(KINDS)}: {line[:60]!r}")
        kinds[int(words[0])] = words[1]
    if not kinds:
        raise KaldiError(f"{rxfilename}: no phones")
    return kinds


class Pending(NamedTuple):
    """What a path has passed and not yet put on an arc: transition-ids and words."""

    ids: tuple[int, ...]
    words: tuple[int, ...]


class Aligner:
    """Aligns one lattice. `silence_label` and `partial_label` are the words of arcs that have none."""

    def __init__(self, info: WordBoundaries, silence_label: int = 0, partial_label: int = 0):
        self.info, self.silence_label, self.partial_label = info, silence_label, partial_label
        self.ok = True

    def _complain(self, message: str) -> None:
        if self.ok:
            warn(message)
        self.ok = False

    def _phone_end(self, ids: tuple[int, ...], start: int) -> int:
        """The end of the phone that is under way at `start`; -1 when the ids do not tell, as more may follow."""
        info, i = self.info, start
        while i < len(ids) and not info.leaves[ids[i]]:
            if info.phone[ids[i]] != info.phone[ids[start]]:
                self._complain(
                    "a phone changes before its last transition-id (a damaged lattice, another model, or --reorder)"
                )
            i += 1
        i += 1
        while info.reorder and i < len(ids) and info.loop[ids[i]]:
            i += 1
        if i >= len(ids):
            return -1
        if info.phone[ids[i - 1]] != info.phone[ids[start]]:
            self._complain("a phone changes unexpectedly (a damaged lattice or another model)")
        return i

    def _word_end(self, ids: tuple[int, ...]) -> int:
        """The end of the word of several phones that the ids begin with, or -1."""
        info = self.info
        i = self._phone_end(ids, 0)
        while 0 <= i < len(ids) and info.kind[ids[i]] != "end":
            if info.kind[ids[i]] != "internal":
                self._complain(f"unexpected phone {info.phone[ids[i]]} inside a word")
            i += 1
        return self._phone_end(ids, i) if 0 <= i < len(ids) else -1

    def finished(self, pending: Pending) -> tuple[int, int, Pending] | None:
        """(word, number of transition-ids, what is left) when a word or silence is complete."""
        ids, words = pending
        if not ids:
            return None
        kind = self.info.kind[ids[0]]
        end = -1
        if kind == "nonword":
            end = self._phone_end(ids, 0)
            if end >= 0:
                return self.silence_label, end, Pending(ids[end:], words)
        elif words and kind == "begin":
            end = self._word_end(ids)
        elif words and kind == "singleton":
            end = self._phone_end(ids, 0)
        return (words[0], end, Pending(ids[end:], words[1:])) if end >= 0 else None

    def _complete_at_end(self, ids: tuple[int, ...]) -> bool:
        """Whether the last transition-id ends a phone."""
        i = len(ids) - 1
        while self.info.reorder and i > 0 and self.info.loop[ids[i]]:
            i -= 1
        return self.info.leaves[ids[i]]

    def forced(self, pending: Pending) -> tuple[int, Pending]:
        """At the end of the utterance: the word for all that is pending, and the words that are left."""
        ids, words = pending
        if not ids:
            self._complain("words at the end of an utterance have no transition-ids, and are discarded")
            return 0, Pending((), ())
        kinds = self.info.kind[ids[0]], self.info.kind[ids[-1]]
        whole = self._complete_at_end(ids)
        if words:
            one_phone = kinds[0] == "singleton" and self.info.phone[ids[0]] == self.info.phone[ids[-1]]
            if not (whole and (one_phone or kinds == ("begin", "end"))):
                self._complain("an invalid word at the end of an utterance (was the end of the graph not reached?)")
            return words[0], Pending((), words[1:])
        if kinds[0] == "nonword":
            if not whole or self.info.phone[ids[0]] != self.info.phone[ids[-1]]:
                self._complain("a silence at the end of an utterance does not reach its end")
            return self.silence_label, Pending((), ())
        self._complain("a partial word at the end of an utterance")
        return self.partial_label, Pending((), ())

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        """The aligned lattice; `ok` tells whether all was as expected. With more than max_states states (if positive)
        the result is an empty lattice."""
        graph = _expand(self, lattice.connected(), max_states)
        return _without_epsilons(graph) if graph else _build([], [])


class Expanded(NamedTuple):
    """States (input state, pending): epsilon moves (target, graph, acoustic), arcs (word, ids, target), finals."""

    moves: list[list[tuple[int, float, float]]]
    arcs: list[list[tuple[int, tuple[int, ...], int]]]
    finals: dict[int, tuple[float, float]]


def _expand(aligner: Aligner, lattice: Lattice, max_states: int) -> Expanded | None:
    """Follow the lattice, putting out a word as soon as it is complete. State N is a common final state."""
    if not lattice.num_states:
        return None
    end = lattice.num_states
    offsets, words, targets = lattice.offsets.tolist(), lattice.words.tolist(), lattice.targets.tolist()
    weights, final_weights = lattice.weights.tolist(), lattice.final_weights.tolist()
    number = {(0, Pending((), ())): 0}
    todo = [(0, Pending((), ()))]
    graph = Expanded([[]], [[]], {})

    def state(key: tuple[int, Pending]) -> int:
        if key not in number:
            number[key] = len(number)
            todo.append(key)
            graph.moves.append([])
            graph.arcs.append([])
        return number[key]

    while todo:
        if 0 < max_states < len(number):
            warn(f"the aligned lattice has more than {max_states} states")
            aligner.ok = False
            return None
        source, pending = todo.pop()
        here = number[source, pending]
        output = aligner.finished(pending)
        if output:
            word, length, rest = output
            graph.arcs[here].append((word, pending.ids[:length], state((source, rest))))
        elif source == end and pending == ((), ()):
            graph.finals[here] = (0.0, 0.0)
        elif source == end:
            word, rest = aligner.forced(pending)
            if word or pending.ids:
                graph.arcs[here].append((word, pending.ids, state((source, rest))))
            else:
                graph.moves[here].append((state((source, rest)), 0.0, 0.0))
        else:
            for arc in range(offsets[source], offsets[source + 1]):
                heard = (words[arc],) if words[arc] else ()
                passed = Pending(pending.ids + tuple(lattice.strings[arc].tolist()), pending.words + heard)
                graph.moves[here].append((state((targets[arc], passed)), *weights[arc]))
            if final_weights[source][0] + final_weights[source][1] < np.inf:
                passed = Pending(pending.ids + tuple(lattice.final_strings[source].tolist()), pending.words)
                graph.moves[here].append((state((end, passed)), *final_weights[source]))
    return graph


def _without_epsilons(graph: Expanded) -> Lattice:
    """Replace the epsilon moves by their best weights: the result has only arcs with transition-ids."""
    number, order = {0: 0}, [0]
    finals: list[tuple[float, float]] = []
    arcs: list[dict[tuple[int, tuple[int, ...], int], tuple[float, float]]] = []
    while len(arcs) < len(order):
        reached = _closure(graph, order[len(arcs)])
        leaving: dict[tuple[int, tuple[int, ...], int], tuple[float, float]] = {}
        ending = (np.inf, np.inf)
        for state, weight in reached.items():
            if state in graph.finals:
                ending = min(ending, weight, key=_order)
            for word, ids, target in graph.arcs[state]:
                if target not in number:
                    number[target] = len(order)
                    order.append(target)
                key = (word, ids, number[target])
                leaving[key] = min(leaving.get(key, weight), weight, key=_order)
        arcs.append(leaving)
        finals.append(ending)
    return _build(arcs, finals).connected()


def _order(weight: tuple[float, float]) -> tuple[float, float]:
    return weight[0] + weight[1], weight[0]


def _closure(graph: Expanded, start: int) -> dict[int, tuple[float, float]]:
    """The states that epsilon moves reach from a state, with the weights of the best ways."""
    best = {start: (0.0, 0.0)}
    stack = [start]
    while stack:
        state = stack.pop()
        for target, graph_cost, acoustic_cost in graph.moves[state]:
            weight = (best[state][0] + graph_cost, best[state][1] + acoustic_cost)
            if target not in best or _order(weight) < _order(best[target]):
                best[target] = weight
                stack.append(target)
    return best


def _build(
    arcs: list[dict[tuple[int, tuple[int, ...], int], tuple[float, float]]], finals: list[tuple[float, float]]
) -> Lattice:
    counts = [len(leaving) for leaving in arcs]
    keys = [key for leaving in arcs for key in leaving]
    weights = [weight for leaving in arcs for weight in leaving.values()]
    final_weights = np.array(finals, np.float32).reshape(-1, 2)
    final_weights[~np.isfinite(final_weights).all(axis=1)] = INF
    return Lattice(
        0,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.array([k[0] for k in keys], np.int32),
        np.array([k[2] for k in keys], np.int32),
        np.array(weights, np.float32).reshape(-1, 2),
        Strings.of_lengths(
            np.array([len(k[1]) for k in keys], np.int64), np.array([i for k in keys for i in k[1]], np.int32)
        ),
        final_weights,
        Strings(np.zeros(len(finals) + 1), np.zeros(0)),
    )
