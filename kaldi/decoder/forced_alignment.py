"""Alignment of an utterance to its training graph: by Viterbi search, or evenly for a flat start."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.glibc_random import Random
from kaldi.base.log import KaldiError, warn
from kaldi.fstext.fst import Fst, from_arcs
from kaldi.gmm.am_diag_gmm import AmDiagGmm, extend
from kaldi.hmm.graphs import transition_costs
from kaldi.hmm.transition_model import TransitionModel

NO_GAUSSIANS = np.zeros((0, 1), np.float32)


class Alignment(NamedTuple):
    """transition_ids: int32[T]; words: int32; cost: of the whole path; acoustic: float32[T], log-likelihoods."""

    transition_ids: np.ndarray
    words: np.ndarray
    cost: float
    acoustic: np.ndarray


class Aligner:
    """Viterbi alignment; costs are those of scaled log-likelihoods and transition probabilities.

    Of features with a GMM, or, without a model, of given log-likelihoods of pdfs.
    """

    def __init__(
        self,
        transitions: TransitionModel,
        model: AmDiagGmm | None,
        acoustic_scale: float,
        transition_scale: float,
        self_loop_scale: float,
    ):
        self.transitions, self.model, self.scale = transitions, model, acoustic_scale
        self.costs = transition_costs(transitions, transition_scale, self_loop_scale)

    def align(self, graph: Fst, feats: np.ndarray, beam: float) -> Alignment | None:
        """The best path within the beam for features [T, dim] or log-likelihoods [T, pdfs]; None if it reaches no end
        of the graph.

        Raises KaldiError when the graph, the features or the log-likelihoods do not fit the model.
        """
        from kaldi.decoder.viterbi_core import viterbi

        if self.model:
            self.model.check_dim(feats)
            decodable = extend(feats), self.model.parameters, self.model.offsets
        else:
            self.transitions.check_loglikes(feats)
            decodable = np.ascontiguousarray(feats, np.float32), NO_GAUSSIANS, np.zeros(1, np.int64)
        if graph.num_arcs and not 0 <= graph.ilabel.min() <= graph.ilabel.max() <= self.transitions.num_tids:
            raise KaldiError(
                "the graph has input labels beyond the model's transition-ids "
                f"1..{self.transitions.num_tids} (was it made with another model?)"
            )
        cost, path, acoustic = viterbi(
            graph.start,
            graph.final,
            graph.offsets,
            graph.ilabel,
            graph.weight + self.costs[graph.ilabel],
            graph.nextstate,
            self.transitions.id2pdf[graph.ilabel],
            *decodable,
            self.scale,
            beam,
        )
        if not np.isfinite(cost):
            return None
        labels, words = graph.ilabel[path], graph.olabel[path]
        emitting = labels > 0
        return Alignment(labels[emitting], words[words > 0], cost, acoustic[emitting] / np.float32(-self.scale))


def careful_graph(graph: Fst) -> Fst:
    """A graph in which a path may go on, after its end, with another copy that has no end.

    A search that should have ended early then finds no final state, instead of squeezing the rest into the last phone.
    """
    n = graph.num_states
    ends = np.flatnonzero(np.isfinite(graph.final))
    bridge = 2 * n  # the only final state, which leads to the copy's start
    zeros = np.zeros(len(ends) + 1, np.int32)
    final = np.full(2 * n + 1, np.inf, np.float32)
    final[bridge] = 0.0
    source = graph.sources()
    return from_arcs(
        graph.start,
        final,
        np.concatenate((source, source + n, ends, [bridge])),
        np.concatenate((graph.ilabel, graph.ilabel, zeros)),
        np.concatenate((graph.olabel, graph.olabel, zeros)),
        np.concatenate((graph.weight, graph.weight, graph.final[ends], [0.0])),
        np.concatenate((graph.nextstate, graph.nextstate + n, np.full(len(ends), bridge), [graph.start + n])),
    )


def equal_alignment(graph: Fst, frames: int, random: Random, tries: int = 10) -> np.ndarray | None:
    """Transition-ids int32[frames] of a random path, to which each self-loop on it adds the same number of frames.

    None, with a warning, when the path is too long or has no loop to make it longer (Kaldi: EqualAlign).
    """
    offsets, target, ilabel = graph.offsets.tolist(), graph.nextstate.tolist(), graph.ilabel.tolist()
    ends = np.isfinite(graph.final).tolist()
    for _ in range(tries):
        states, arcs = [graph.start], []
        while True:
            state = states[-1]
            count = offsets[state + 1] - offsets[state]
            if not count and not ends[state]:
                raise KaldiError("the graph has a state that leads nowhere")
            choice = random.integer(0, count - 1 + ends[state])
            if choice == count:
                break
            arc = offsets[state] + choice
            if target[arc] != state:
                arcs.append(arc)
                states.append(target[arc])
        emitting = sum(ilabel[arc] > 0 for arc in arcs)
        if emitting <= frames:
            break
    else:
        warn(f"the random paths have {emitting} transitions or more, but there are only {frames} frames")
        return None

    def loop_of(state: int) -> int:
        around = range(offsets[state], offsets[state + 1])
        return next((ilabel[arc] for arc in around if target[arc] == state and ilabel[arc] > 0), 0)

    loops = [loop_of(state) for state in states]
    count, missing = sum(loop > 0 for loop in loops), frames - emitting
    if missing and not count:
        warn("the random path has no self-loops to make it longer")
        return None
    share, longer = divmod(missing, count) if count else (0, 0)
    labels: list[int] = []
    for i, loop in enumerate(loops):
        if loop:
            labels += [loop] * (share + (longer > 0))
            longer -= 1
        if i < len(arcs) and ilabel[arcs[i]]:
            labels.append(ilabel[arcs[i]])
    return np.array(labels, np.int32)
