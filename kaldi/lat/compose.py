"""Composition of lattices, by their words, with transducers, lattices and language models
(Kaldi: fstext/table-matcher.h, lat/lattice-functions.h)."""

from __future__ import annotations

import numpy as np

from kaldi.fstext import ops
from kaldi.fstext.fst import Fst
from kaldi.lat.compose_core import compose_const_arpa, compose_fst
from kaldi.lat.lattice import INF, Lattice, Strings, expanded, ranges, transition_ids
from kaldi.lat.paths import backward_costs, forward_costs, pruned
from kaldi.lm.const_arpa import ConstArpa

NONE = -1  # no label


class Acceptor:
    """A transducer or lattice as the right side of compositions: its costs are (graph, acoustic) [A, 2] and final
    costs [N, 2], inf where a state is not final; arcs are sorted by ilabel."""

    def __init__(self, fst: Fst, costs: np.ndarray, final: np.ndarray):
        self.start, self.offsets, self.nexts = (
            max(fst.start, 0),
            np.ascontiguousarray(fst.offsets, np.int64),
            fst.nextstate,
        )
        self.ilabels, self.olabels = fst.ilabel, fst.olabel
        self.costs, self.final = np.ascontiguousarray(costs, np.float64), np.ascontiguousarray(final, np.float64)

    @classmethod
    def of_fst(cls, fst: Fst, phi: int = NONE, scale: float = 1.0) -> Acceptor:
        """A transducer whose costs are graph costs. With `phi`, states end as those do that their phi arcs lead to."""
        fst = _sorted(fst)
        final = _final_by(fst, phi) if phi >= 0 else fst.final.astype(np.float64)
        ends = np.isfinite(final)
        finals = np.full((fst.num_states, 2), np.inf)
        finals[ends] = np.stack([scale * final[ends], np.zeros(ends.sum())], axis=1)
        return cls(fst, np.stack([scale * fst.weight.astype(np.float64), np.zeros(fst.num_arcs)], axis=1), finals)

    @classmethod
    def of_lattice(cls, lattice: Lattice) -> Acceptor:
        """A lattice from transition-ids (or what stands in their place) to words."""
        lattice = expanded(lattice.connected())
        labels = transition_ids(lattice)
        order = np.lexsort((labels, lattice.sources))
        final = lattice.final_weights.sum(axis=1)
        fst = Fst(0, final, lattice.offsets, labels[order], lattice.words[order], final, lattice.targets[order])
        return cls(fst, lattice.weights[order], lattice.final_weights)


def _sorted(fst: Fst) -> Fst:
    return fst if ops.is_sorted(fst, "ilabel") else ops.arcsort(fst, "ilabel")


def backoff_acceptor(fst: Fst, scale: float = 1.0) -> Acceptor:
    """A language model as the acceptor of its output, for `composed` with phi=0: it backs off only where it must."""
    return Acceptor.of_fst(ops.project(fst, output=True), 0, scale)


def _final_by(fst: Fst, phi: int) -> np.ndarray:
    """Final costs, of states that are not final by way of their phi arcs."""
    final = fst.final.astype(np.float64)
    arcs = np.flatnonzero(fst.ilabel == phi)
    sources, goals, costs = fst.sources()[arcs], fst.nextstate[arcs], fst.weight[arcs].astype(np.float64)
    for _ in range(fst.num_states):
        found = np.isinf(final[sources]) & np.isfinite(final[goals])
        if not found.any():
            break
        final[sources[found]] = costs[found] + final[goals[found]]
    return final


def composed(lattice: Lattice, right: Acceptor, phi: int = NONE, rho: int = NONE) -> Lattice:
    """The composition; its words are the output of the right side.

    phi: label of the right side's arcs to follow where no arc has the word; rho: of arcs that stand for any such word.
    """
    lattice = lattice.connected()
    if not lattice.num_states or not len(right.final):
        return lattice.take_states(np.zeros(0, np.int64))
    keys, offsets, arcs, targets, words, costs = compose_fst(
        np.ascontiguousarray(lattice.offsets, np.int64),
        lattice.words,
        lattice.targets,
        0,
        right.offsets,
        right.ilabels,
        right.olabels,
        right.costs,
        right.nexts,
        right.start,
        phi,
        rho,
    )
    states, others = np.divmod(keys >> 1, len(right.final))
    return _result(lattice, states, offsets, arcs, targets, words, costs, right.final[others])


def with_const_arpa(lattice: Lattice, model: ConstArpa, scale: float = 1.0) -> Lattice:
    """The lattice with the costs of a const ARPA model, times the scale, added to the graph costs."""
    lattice = lattice.connected()
    if not lattice.num_states:
        return lattice
    states, offsets, arcs, targets, costs, ends = compose_const_arpa(
        np.ascontiguousarray(lattice.offsets, np.int64),
        lattice.words,
        lattice.targets,
        0,
        model.states,
        model.states.view(np.float32),
        model.unigrams,
        model.overflow,
        model.bos,
        model.eos,
        model.unk,
        model.order,
    )
    finals = np.full((len(ends), 2), np.inf)
    final = np.isfinite(ends)
    finals[final] = np.stack([scale * ends[final], np.zeros(final.sum())], axis=1)
    added = np.stack([scale * costs, np.zeros(len(costs))], axis=1)
    return _result(lattice, states, offsets, arcs, targets, lattice.words[arcs], added, finals)


def _result(
    lattice: Lattice,
    states: np.ndarray,
    offsets: np.ndarray,
    arcs: np.ndarray,
    targets: np.ndarray,
    words: np.ndarray,
    costs: np.ndarray,
    finals: np.ndarray,
) -> Lattice:
    """The lattice of the states and arcs that the cores give; arc -1 is none of the lattice's."""
    behind = arcs >= 0
    weights = costs.copy()
    weights[behind] += lattice.weights[arcs[behind]]
    lengths = np.zeros(len(arcs), np.int64)
    lengths[behind] = lattice.strings.lengths[arcs[behind]]
    begins = np.zeros(len(arcs), np.int64)
    begins[behind] = lattice.strings.offsets[:-1][arcs[behind]]
    final_weights = (lattice.final_weights[states] + finals).astype(np.float32)
    final_weights[~np.isfinite(final_weights).all(axis=1)] = INF
    return Lattice(
        0,
        offsets,
        words,
        targets.astype(np.int32),
        weights.astype(np.float32),
        Strings.of_lengths(lengths, lattice.strings.labels[ranges(begins, lengths)]),
        final_weights,
        lattice.final_strings.take(states),
    ).connected()


def pruned_to(lattice: Lattice, beam: float, max_arcs: int) -> Lattice:
    """The lattice pruned with the beam, or with a narrower one that leaves at most max_arcs arcs (or the best path)."""
    lattice = lattice.connected()
    if len(lattice.words) > max_arcs:
        costs = lattice.costs
        through = forward_costs(lattice)[lattice.sources] + costs + backward_costs(lattice)[lattice.targets]
        limit = np.partition(through, max_arcs)[max_arcs]
        last = through[through < limit].max(initial=through.min())
        beam = min(beam, max(float((last + limit) / 2 - through.min()), 1e-6))
    return pruned(lattice, beam)
