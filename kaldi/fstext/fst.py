"""Weighted finite-state transducers of the tropical semiring in arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass
class Fst:
    """A transducer of N states and A arcs. The arcs of state s are offsets[s]:offsets[s + 1].

    start: the start state, -1 when there is no state.
    final: float32[N], cost of ending in a state, inf where the state is not final.
    offsets: int64[N + 1]; ilabel, olabel, nextstate: int32[A]; weight: float32[A], costs (negated log-probabilities).
    """

    start: int
    final: np.ndarray
    offsets: np.ndarray
    ilabel: np.ndarray
    olabel: np.ndarray
    weight: np.ndarray
    nextstate: np.ndarray

    @property
    def num_states(self) -> int:
        return len(self.final)

    @property
    def num_arcs(self) -> int:
        return len(self.ilabel)

    def sources(self) -> np.ndarray:
        """int64[A]: the state that each arc leaves."""
        return np.repeat(np.arange(self.num_states), np.diff(self.offsets))

    def select(self, arcs: np.ndarray) -> Fst:
        """The same states with the arcs of a boolean mask[A], or of indices[A] that keep each state's arcs together."""
        kept = arcs if arcs.dtype == bool else np.ones(len(arcs), bool)
        counts = np.concatenate(([0], np.cumsum(kept)))
        return Fst(
            self.start,
            self.final,
            counts[self.offsets],
            self.ilabel[arcs],
            self.olabel[arcs],
            self.weight[arcs],
            self.nextstate[arcs],
        )


def from_arcs(
    start: int,
    final: ArrayLike,
    source: ArrayLike,
    ilabel: ArrayLike,
    olabel: ArrayLike,
    weight: ArrayLike,
    nextstate: ArrayLike,
) -> Fst:
    """An Fst from arcs in any order; arcs of one state stay in their order."""
    final, source = np.asarray(final, np.float32), np.asarray(source, np.int64)
    order = np.argsort(source, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=len(final))))).astype(np.int64)
    columns = ((ilabel, np.int32), (olabel, np.int32), (weight, np.float32), (nextstate, np.int32))
    return Fst(int(start), final, offsets, *(np.asarray(c, t)[order] for c, t in columns))


def linear(ilabels: ArrayLike, olabels: ArrayLike) -> Fst:
    """The transducer of one path of cost 0."""
    steps = np.arange(len(np.asarray(ilabels)))
    final = np.full(len(steps) + 1, np.inf)
    final[-1] = 0.0
    return from_arcs(0, final, steps, ilabels, olabels, np.zeros(len(steps)), steps + 1)


def empty() -> Fst:
    """The transducer without states, which accepts nothing."""
    nothing = np.zeros(0)
    return from_arcs(-1, nothing, nothing, nothing, nothing, nothing, nothing)
