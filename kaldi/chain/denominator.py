"""The denominator graph of LF-MMI: all phone sequences of the phone language model (Kaldi: chain/chain-den-graph.h)."""

from __future__ import annotations

from collections.abc import Callable

import kaldifst
import numpy as np

from kaldi.base.log import KaldiError, log
from kaldi.chain.graphs import expand_phones
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.fstext.native import from_native, to_native
from kaldi.fstext.ops import arcsort, project, push_special
from kaldi.hmm.graphs import HmmGraphs

PUSH_DELTA = 2.0**-10 / 100
MINIMIZE_DELTA = 10 * 2.0**-10  # coarse: states whose costs differ by less become one


def denominator_graph(phone_lm: Fst, hmms: HmmGraphs) -> Fst:
    """The acceptor of pdf-id + 1, one a frame, that a phone language model and a tree give; small, without epsilons.

    It has the transition probabilities (those of `hmms` and the self-loops'), which supervisions get from it when they
    are normalised. Raises KaldiError for a language model of other phones, or one that accepts nothing.
    """
    if phone_lm.start < 0 or not np.isfinite(phone_lm.final).any():
        raise KaldiError("the phone language model accepts nothing: it has no final state")
    graph = project(expand_phones(phone_lm, hmms, self_loop_scale=1.0), output=False)
    labels = np.where(graph.ilabel > 0, hmms.model.id2pdf[graph.ilabel] + 1, 0).astype(np.int32)
    graph = Fst(graph.start, graph.final, graph.offsets, labels, labels, graph.weight, graph.nextstate)
    graph = _by_kaldifst(graph, lambda fst: kaldifst.minimize_encoded(fst, MINIMIZE_DELTA))
    for _ in range(3):
        for _ in ("reversed", "as it was"):
            graph = push_special(_by_kaldifst(graph, kaldifst.reverse), PUSH_DELTA)
            graph = _by_kaldifst(graph, lambda fst: kaldifst.minimize_encoded(fst, MINIMIZE_DELTA))
    graph = _start_at_zero(_by_kaldifst(graph, kaldifst.rmepsilon))
    if not np.isfinite(graph.final).any():
        raise KaldiError("the denominator graph has no final state")
    log(f"denominator graph: {graph.num_states} states, {graph.num_arcs} arcs")
    return graph


def initial_probs(graph: Fst) -> np.ndarray:
    """float64[states], sum 1: where a sequence that is cut out of an utterance begins.

    The mean over the first hundred frames from the start state, as Kaldi has it (DenominatorGraph::SetInitialProbs).
    """
    source, weights = graph.sources(), np.exp(-graph.weight.astype(np.float64))
    total = np.exp(-graph.final.astype(np.float64)) + np.bincount(source, weights, graph.num_states)
    share = weights / total[source]
    now = np.zeros(graph.num_states)
    now[graph.start] = 1.0
    mean = np.zeros(graph.num_states)
    for _ in range(100):
        mean += now / 100
        reached = np.bincount(graph.nextstate, share * now[source], graph.num_states)
        now = reached / reached.sum()
    return mean


def normalization_graph(graph: Fst) -> Fst:
    """The denominator graph for pieces of utterances: begins with its initial probabilities, may end anywhere."""
    probs = initial_probs(graph)
    if not (probs > 0).all():
        raise KaldiError("the denominator graph has states that no path of a hundred frames reaches")
    first, n = np.arange(graph.num_states), graph.num_states
    nothing = np.zeros(n, np.int32)
    labels = np.concatenate([graph.ilabel, nothing])
    begun = from_arcs(
        n,
        np.append(np.zeros(n), np.inf),
        np.concatenate([graph.sources(), np.full(n, n)]),
        labels,
        labels,
        np.concatenate([graph.weight, -np.log(probs)]),
        np.concatenate([graph.nextstate, first]),
    )
    return arcsort(_by_kaldifst(begun, kaldifst.rmepsilon), "ilabel")


def _by_kaldifst(fst: Fst, change: Callable) -> Fst:
    native = to_native(fst)
    return from_native(change(native) or native)


def _start_at_zero(fst: Fst) -> Fst:
    """The start state as number 0, exchanged with the one that had it."""
    number = np.arange(fst.num_states)
    number[[0, fst.start]] = number[[fst.start, 0]]
    return from_arcs(
        0, fst.final[number], number[fst.sources()], fst.ilabel, fst.olabel, fst.weight, number[fst.nextstate]
    )
