"""The phone language model of the denominator: n-grams without smoothing (Kaldi: chain/language-model.h)."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from kaldi.base.log import KaldiError, log
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.ops import connect

END = 0  # also the beginning, in histories
STAGES = 4  # of pruning


class _State:
    """A history: counts of what follows it, and where they go when it is given up."""

    def __init__(self, backoff: int):
        self.counts: Counter[int] = Counter()
        self.backoff = backoff  # -1: never given up
        self.above = 0  # counts in the longer histories that end with this one


def _log_likelihood(counts: Counter[int]) -> float:
    total = counts.total()
    return sum(count * math.log(count / total) for _, count in sorted(counts.items()))


class PhoneLanguageModel:
    """Counts n-grams of phones; pruned by giving up whole histories, those that lose the least likelihood first.

    The history of a phone is the longest suffix of the `order` - 1 phones before it that is a state. Histories of up to
    no_prune_order - 1 phones are never given up; there remain `num_extra_states` states more than histories of exactly
    that many phones.
    """

    def __init__(self, order: int = 4, no_prune_order: int = 3, num_extra_states: int = 1000):
        if order < 1 or not 1 <= no_prune_order <= order or num_extra_states < 0:
            raise KaldiError(
                f"--ngram-order={order} --no-prune-ngram-order={no_prune_order} "
                f"--num-extra-lm-states={num_extra_states}: expected 1 <= no-prune-ngram-order <= ngram-order, "
                "and no negative number of states"
            )
        self.order, self.no_prune_order, self.num_extra_states = order, no_prune_order, num_extra_states
        self.number: dict[tuple[int, ...], int] = {}
        self.states: list[_State] = []

    def _state(self, history: tuple[int, ...]) -> int:
        if history not in self.number:
            self.number[history] = len(self.states)
            self.states.append(_State(-1))
            if len(history) >= self.no_prune_order:
                self.states[self.number[history]].backoff = self._state(history[1:])
        return self.number[history]

    def add(self, phones: Iterable[int]) -> None:
        """Count the phones of one utterance."""
        history: tuple[int, ...] = (END,)
        for phone in (*phones, END):
            self.states[self._state(history)].counts[phone] += 1
            history = (*history, phone)[max(0, len(history) + 2 - self.order) :]

    def fst(self) -> Fst:
        """The model as a deterministic acceptor without epsilons, costs -log p. Prunes: nothing is added afterwards."""
        if not self.states:
            raise KaldiError("no phones were seen: a phone language model cannot be made of nothing")
        self._prune()
        fst = connect(self._acceptor())
        log(
            f"phone language model of order {self.order}: {fst.num_states} states, {fst.num_arcs} arcs, "
            f"{sum(sum(state.counts.values()) for state in self.states)} phones and ends of utterances"
        )
        return fst

    def _loss(self, number: int) -> float:
        """How much log-likelihood giving up a state costs, as a number >= 0: next to nothing where it only moves."""
        counts, below = self.states[number].counts, self.states[self.states[number].backoff].counts
        if not below:
            return 1e-15 * counts.total()
        return -(_log_likelihood(counts + below) - _log_likelihood(counts) - _log_likelihood(below))

    def _prune(self) -> None:
        """In four stages, as in Kaldi: a quarter of the states that are too many each, all looked at anew."""
        states = self.states
        for state in states:
            number = state.backoff
            while number >= 0:
                states[number].above += state.counts.total()
                number = states[number].backoff
        active = sum(bool(state.counts) for state in states)
        target = self.num_extra_states + sum(len(history) == self.no_prune_order - 1 for history in self.number)
        goals = [active - (active - target) * stage // STAGES for stage in range(1, STAGES + 1)]
        for goal in goals:
            active = self._prune_to(goal, active)

    def _prune_to(self, goal: int, active: int) -> int:
        """Give up states, those that lose the least first, until no more than `goal` are left, if so many can be."""
        states = self.states
        queue = [
            (self._loss(number), -number)
            for number, state in enumerate(states)
            if state.backoff >= 0 and state.counts and not state.above
        ]
        heapq.heapify(queue)
        while active > goal and queue:
            loss, negated = heapq.heappop(queue)
            state = states[-negated]
            now = self._loss(-negated)
            if now != loss:  # its backoff has got the counts of others meanwhile
                heapq.heappush(queue, (now, negated))
                continue
            below = states[state.backoff]
            active -= bool(below.counts)
            below.above -= state.counts.total()
            below.counts.update(state.counts)
            state.counts = Counter()
            if below.backoff >= 0 and not below.above:
                heapq.heappush(queue, (self._loss(state.backoff), -state.backoff))
        return active

    def _next(self, history: tuple[int, ...]) -> int:
        """The state of the longest suffix of a history that has counts."""
        for start in range(len(history) + 1):
            number = self.number.get(history[start:], -1)
            if number >= 0 and self.states[number].counts:
                return number
        raise KaldiError(
            f"no state of the phone language model follows the phones {' '.join(map(str, history))}: "
            "--no-prune-ngram-order may have to be nearer to --ngram-order"
        )

    def _acceptor(self) -> Fst:
        final = np.full(len(self.states), np.inf)
        arcs = []
        for history, number in self.number.items():
            counts = self.states[number].counts
            total = counts.total()
            for phone, count in sorted(counts.items()):
                cost = np.log(total / count)
                if phone == END:
                    final[number] = cost
                else:
                    following = (*history, phone)[max(0, len(history) + 2 - self.order) :]
                    arcs.append((number, phone, phone, cost, self._next(following)))
        return from_arcs(self._next((END,)), final, *zip(*arcs, strict=True))
