"""Word alignment of lattices: one arc a word, with exactly its transition-ids (Kaldi: lat/word-align-lattice.h)."""

from __future__ import annotations

from typing import Any, NamedTuple

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


class Output(NamedTuple):
    """An arc of the result, its word and transition-ids, and what is pending behind it."""

    word: int
    ids: tuple[int, ...]
    rest: Any


class Aligner:
    """Aligns one lattice. `silence_label` and `partial_label` are the words of arcs that have none."""

    nothing: Any = Pending((), ())  # what is pending at the start and at the end
    keeps_unlabelled = True  # whether arcs without a word stay arcs, rather than join those behind them

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

    def read(self, pending: Any, ids: tuple[int, ...], word: int) -> Any:
        """What is pending after some transition-ids and a word (0: none)."""
        return Pending(pending.ids + ids, (*pending.words, word) if word else pending.words)

    def outputs(self, pending: Any) -> tuple[list[Output], Any]:
        """The arcs that can be put out, and what is pending if one reads on instead (None: one must not)."""
        word = self._finished(pending)
        return ([word], None) if word else ([], pending)

    def _finished(self, pending: Pending) -> Output | None:
        """The word or silence that is complete."""
        ids, words = pending
        if not ids:
            return None
        kind = self.info.kind[ids[0]]
        end = -1
        if kind == "nonword":
            end = self._phone_end(ids, 0)
            if end >= 0:
                return Output(self.silence_label, ids[:end], Pending(ids[end:], words))
        elif words and kind == "begin":
            end = self._word_end(ids)
        elif words and kind == "singleton":
            end = self._phone_end(ids, 0)
        return Output(words[0], ids[:end], Pending(ids[end:], words[1:])) if end >= 0 else None

    def _complete_at_end(self, ids: tuple[int, ...]) -> bool:
        """Whether the last transition-id ends a phone."""
        i = len(ids) - 1
        while self.info.reorder and i > 0 and self.info.loop[ids[i]]:
            i -= 1
        return self.info.leaves[ids[i]]

    def forced(self, pending: Any) -> list[Output]:
        """At the end of the utterance: an arc for all that is pending."""
        ids, words = pending
        if not ids:
            self._complain("words at the end of an utterance have no transition-ids, and are discarded")
            return [Output(0, (), self.nothing)]
        kinds = self.info.kind[ids[0]], self.info.kind[ids[-1]]
        whole = self._complete_at_end(ids)
        if words:
            one_phone = kinds[0] == "singleton" and self.info.phone[ids[0]] == self.info.phone[ids[-1]]
            if not (whole and (one_phone or kinds == ("begin", "end"))):
                self._complain("an invalid word at the end of an utterance (was the end of the graph not reached?)")
            return [Output(words[0], ids, Pending((), words[1:]))]
        if kinds[0] == "nonword":
            if not whole or self.info.phone[ids[0]] != self.info.phone[ids[-1]]:
                self._complain("a silence at the end of an utterance does not reach its end")
            return [Output(self.silence_label, ids, self.nothing)]
        self._complain("a partial word at the end of an utterance")
        return [Output(self.partial_label, ids, self.nothing)]

    def align(self, lattice: Lattice, max_states: int = 0) -> Lattice:
        """The aligned lattice; `ok` tells whether all was as expected. With more than max_states states (if positive)
        the result is an empty lattice."""
        graph = _expand(self, lattice.connected(), max_states)
        return _without_epsilons(graph) if graph else _build([], [])


Weight = tuple[float, float]  # graph and acoustic cost
Ids = tuple[int, ...]


class Expanded(NamedTuple):
    """States (input state, pending): epsilon moves (target, weight, transition-ids), arcs (word, transition-ids,
    target), finals."""

    moves: list[list[tuple[int, Weight, Ids]]]
    arcs: list[list[tuple[int, Ids, int]]]
    finals: set[int]


def _expand(aligner: Aligner, lattice: Lattice, max_states: int) -> Expanded | None:
    """Follow the lattice, putting out a word as soon as it is complete. State N is a common final state."""
    if not lattice.num_states:
        return None
    end = lattice.num_states
    offsets, words, targets = lattice.offsets.tolist(), lattice.words.tolist(), lattice.targets.tolist()
    weights, final_weights = lattice.weights.tolist(), lattice.final_weights.tolist()
    start = (0, aligner.nothing)
    number: dict[tuple[int, Any], int] = {start: 0}
    todo = [start]
    graph = Expanded([[]], [[]], set())

    def state(key: tuple[int, Any]) -> int:
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
        outputs, pending_on = aligner.outputs(pending)
        if source == end:
            if pending == aligner.nothing:
                graph.finals.add(here)
            elif not outputs:
                outputs = aligner.forced(pending)
        elif pending_on is not None:
            for arc in range(offsets[source], offsets[source + 1]):
                passed = aligner.read(pending_on, tuple(lattice.strings[arc].tolist()), words[arc])
                graph.moves[here].append((state((targets[arc], passed)), (weights[arc][0], weights[arc][1]), ()))
            graph_cost, acoustic_cost = final_weights[source]
            if graph_cost + acoustic_cost < np.inf:
                passed = aligner.read(pending_on, tuple(lattice.final_strings[source].tolist()), 0)
                graph.moves[here].append((state((end, passed)), (graph_cost, acoustic_cost), ()))
        for word, ids, rest in outputs:
            target = state((source, rest))
            if word or (ids and aligner.keeps_unlabelled):
                graph.arcs[here].append((word, ids, target))
            else:
                graph.moves[here].append((target, (0.0, 0.0), ids))
    return graph


def _without_epsilons(graph: Expanded) -> Lattice:
    """Replace the epsilon moves by their best weights: the result has only arcs that are put out."""
    number, order = {0: 0}, [0]
    finals: list[tuple[Weight, Ids]] = []
    arcs: list[dict[tuple[int, Ids, int], Weight]] = []
    while len(arcs) < len(order):
        reached = _closure(graph, order[len(arcs)])
        leaving: dict[tuple[int, Ids, int], Weight] = {}
        ending: tuple[Weight, Ids] = ((np.inf, np.inf), ())
        for state, (weight, before) in reached.items():
            if state in graph.finals:
                ending = min(ending, (weight, before), key=lambda way: _order(way[0]))
            for word, ids, target in graph.arcs[state]:
                if target not in number:
                    number[target] = len(order)
                    order.append(target)
                key = (word, before + ids, number[target])
                leaving[key] = min(leaving.get(key, weight), weight, key=_order)
        arcs.append(leaving)
        finals.append(ending)
    return _build(arcs, finals).connected()


def _order(weight: Weight) -> Weight:
    return weight[0] + weight[1], weight[0]


def _closure(graph: Expanded, start: int) -> dict[int, tuple[Weight, Ids]]:
    """The states that epsilon moves reach from a state, with the weights and transition-ids of the best ways."""
    best: dict[int, tuple[Weight, Ids]] = {start: ((0.0, 0.0), ())}
    stack = [start]
    while stack:
        state = stack.pop()
        (graph_cost, acoustic_cost), before = best[state]
        for target, step, ids in graph.moves[state]:
            weight = (graph_cost + step[0], acoustic_cost + step[1])
            if target not in best or _order(weight) < _order(best[target][0]):
                best[target] = weight, before + ids
                stack.append(target)
    return best


def _build(arcs: list[dict[tuple[int, Ids, int], Weight]], finals: list[tuple[Weight, Ids]]) -> Lattice:
    counts = [len(leaving) for leaving in arcs]
    keys = [key for leaving in arcs for key in leaving]
    weights = [weight for leaving in arcs for weight in leaving.values()]
    final_weights = np.array([weight for weight, _ in finals], np.float32).reshape(-1, 2)
    final_weights[~np.isfinite(final_weights).all(axis=1)] = INF
    return Lattice(
        0,
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.array([k[0] for k in keys], np.int32),
        np.array([k[2] for k in keys], np.int32),
        np.array(weights, np.float32).reshape(-1, 2),
        Strings.of_lists([k[1] for k in keys]),
        final_weights,
        Strings.of_lists([ids for _, ids in finals]),
    )
