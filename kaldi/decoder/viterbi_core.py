"""Viterbi beam search over the graph of one utterance (Kaldi: decoder/faster-decoder.h), compiled by numba.

Log-likelihoods are computed when the search first asks for a pdf at a frame: the beam needs few of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kaldi.base.jit import njit, smallest, with_room

NEGLIGIBLE = np.float32(-15.9)  # log of the float precision: less adds nothing to a sum
MIN_ACTIVE = 20  # no pruning below this number of tokens
BEAM_DELTA = 0.5

TOKEN = np.dtype(
    [("cost", np.float64), ("arc", np.int64), ("previous", np.int64), ("acoustic", np.float32)], align=True
)


class Graph(NamedTuple):
    """As in kaldi.fstext.fst.Fst, weights with transition probabilities; pdf: of each arc with an input label."""

    offsets: np.ndarray
    ilabel: np.ndarray
    weight: np.ndarray
    target: np.ndarray
    pdf: np.ndarray


class Decodable(NamedTuple):
    """The frames and the model, and the log-likelihoods that were asked for last (Kaldi: DecodableAmDiagGmmScaled)."""

    frames: np.ndarray
    parameters: np.ndarray
    gaussians: np.ndarray
    scale: float
    likelihood: np.ndarray  # of each pdf at the frame `frame_of`
    frame_of: np.ndarray
    scores: np.ndarray  # work space: of the Gaussians of a pdf


@njit(fastmath={"reassoc", "contract", "nsz"})
def _log_likelihood(frame, parameters, first, end, scores):
    """Log of the sum of a pdf's Gaussians at a frame (x, x * x, 1); `scores` is work space."""
    peak = np.float32(-np.inf)
    for g in range(first, end):
        row = parameters[g]
        total = np.float32(0.0)
        for i in range(len(frame)):
            total += row[i] * frame[i]
        scores[g - first] = total
        peak = max(peak, total)
    if end - first == 1:
        return peak
    total = np.float32(0.0)
    for g in range(end - first):
        difference = scores[g] - peak
        if difference > NEGLIGIBLE:
            total += np.exp(difference)
    return peak + np.log(total)


@njit
def _acoustic_cost(decodable, t, p):
    """The scaled negative log-likelihood of a pdf at frame t."""
    if len(decodable.parameters) == 0:
        return np.float32(-decodable.scale * decodable.frames[t, p])
    if decodable.frame_of[p] != t:
        decodable.frame_of[p] = t
        first, end = decodable.gaussians[p], decodable.gaussians[p + 1]
        decodable.likelihood[p] = _log_likelihood(
            decodable.frames[t], decodable.parameters, first, end, decodable.scores
        )
    return np.float32(-decodable.scale * decodable.likelihood[p])


@njit
def _get_cutoff(tokens, active, states, count, beam):
    """(cost above which tokens are dropped, beam to use from there, best state), keeping MIN_ACTIVE tokens.

    Kaldi's GetCutoff. The state is -1 if no cost is finite.
    """
    best, best_state, inside = np.inf, -1, 0
    for i in range(count):
        cost = tokens[active[states[i]]].cost
        if cost < best:
            best, best_state = cost, states[i]
    if count <= MIN_ACTIVE:
        return np.inf, np.inf, best_state
    for i in range(count):
        inside += tokens[active[states[i]]].cost < best + beam
    if inside > MIN_ACTIVE:
        return best + beam, beam, best_state
    all_costs = np.empty(count, np.float32)  # single precision as in Kaldi: its rounding decides about the last token
    for i in range(count):
        all_costs[i] = tokens[active[states[i]]].cost
    loosest = np.float64(smallest(all_costs, MIN_ACTIVE))
    if loosest > best + beam:
        return loosest, loosest - best + BEAM_DELTA, best_state
    return best + beam, beam, best_state


@njit
def _pass_token(tokens, made, active, states, count, state, cost, acoustic, arc, previous):
    """Pass a token to a state, where the cheaper one stays: (tokens made, active states, whether it stayed)."""
    token = active[state]
    if token < 0:
        token = active[state] = made
        states[count] = state
        tokens[token].cost = np.inf
        made += 1
        count += 1
    stays = cost < tokens[token].cost
    if stays:
        tokens[token].cost, tokens[token].acoustic = cost, acoustic
        tokens[token].arc, tokens[token].previous = arc, previous
    return made, count, stays


@njit
def _process_emitting(graph, decodable, t, beam, tokens, made, now, now_states, now_count, then, then_states):
    """Pass the tokens of `now` over the arcs with input labels to `then`, and empty `now`.

    Returns (tokens made, active states of then, cutoff of their costs). Kaldi's ProcessEmitting.
    """
    drop, width, best = _get_cutoff(tokens, now, now_states, now_count, beam)
    limit = np.inf
    if best >= 0:  # the best token first, for an early bound
        for a in range(graph.offsets[best], graph.offsets[best + 1]):
            if graph.ilabel[a] != 0:
                acoustic = _acoustic_cost(decodable, t, graph.pdf[a])
                limit = min(limit, tokens[now[best]].cost + graph.weight[a] + acoustic + width)
    count = 0
    for i in range(now_count):
        s = now_states[i]
        token, now[s] = now[s], -1
        if tokens[token].cost >= drop:
            continue
        for a in range(graph.offsets[s], graph.offsets[s + 1]):
            if graph.ilabel[a] == 0:
                continue
            acoustic = _acoustic_cost(decodable, t, graph.pdf[a])
            cost = tokens[token].cost + graph.weight[a] + acoustic
            if cost < limit:
                made, count, _ = _pass_token(
                    tokens, made, then, then_states, count, graph.target[a], cost, acoustic, a, token
                )
            limit = min(limit, cost + width)
    return made, count, limit


@njit
def _process_nonemitting(graph, limit, tokens, made, now, states, count):
    """Pass the tokens of `now` on over epsilon arcs: (tokens made, active states). Kaldi's ProcessNonemitting."""
    queue = np.empty(2 * len(now), np.int64)
    for i in range(count):
        queue[i] = states[i]
    waiting = count
    while waiting:
        waiting -= 1
        s = queue[waiting]
        token = now[s]
        if tokens[token].cost > limit:
            continue
        queue = with_room(queue, waiting, graph.offsets[s + 1] - graph.offsets[s])
        for a in range(graph.offsets[s], graph.offsets[s + 1]):
            cost = tokens[token].cost + graph.weight[a]
            if graph.ilabel[a] != 0 or cost > limit:
                continue
            to = graph.target[a]
            made, count, stays = _pass_token(tokens, made, now, states, count, to, cost, 0.0, a, token)
            if stays:
                queue[waiting] = to
                waiting += 1
    return made, count


@njit
def _best_path(final, tokens, now, states, count):
    """The best path to a final state, as viterbi returns it: Kaldi's GetBestPath."""
    total, last = np.inf, -1
    for i in range(count):
        s = states[i]
        if tokens[now[s]].cost + final[s] < total:
            total, last = tokens[now[s]].cost + final[s], now[s]
    length, token = 0, last
    while token > 0:
        length += 1
        token = tokens[token].previous
    path, acoustic = np.empty(length, np.int64), np.empty(length, np.float32)
    token = last
    for i in range(length - 1, -1, -1):
        path[i], acoustic[i] = tokens[token].arc, tokens[token].acoustic
        token = tokens[token].previous
    return total, path, acoustic


@njit(
    "Tuple((float64, int64[::1], float32[::1]))"
    "(int64, float32[::1], int64[::1], int32[::1], float32[::1], int32[::1], int32[::1], float32[:,::1],"
    " float32[:,::1], int64[::1], float64, float64)",
    cache=True,
    nogil=True,
)
def viterbi(start, final, offsets, ilabel, weight, target, pdf, frames, parameters, gaussians, scale, beam):
    """Best path through a graph of N states and A arcs for T frames.

    final: as in kaldi.fstext.fst.Fst; offsets, ilabel, weight, target, pdf: see Graph; frames: float32[T, 2 dim + 1],
    (x, x * x, 1); parameters: float32[G, 2 dim + 1] of all Gaussians, those of pdf p being rows
    gaussians[p]:gaussians[p + 1] (without Gaussians frames are log-likelihoods float32[T, pdfs]); scale: of
    log-likelihoods; beam: of costs.
    Returns (cost of the path, its arcs int64[L], the acoustic costs float32[L] of its arcs); the cost is inf, and the
    path empty, when no final state was reached at the last frame.
    """
    graph = Graph(offsets, ilabel, weight, target, pdf)
    num_states, num_pdfs = len(final), len(gaussians) - 1
    most = 0  # Gaussians of a pdf
    for p in range(num_pdfs):
        most = max(most, gaussians[p + 1] - gaussians[p])
    likelihood, frame_of = np.empty(num_pdfs, np.float32), np.full(num_pdfs, -1)
    decodable = Decodable(frames, parameters, gaussians, scale, likelihood, frame_of, np.empty(most, np.float32))
    # Tokens are linked backwards: one per state and frame, and `now` and `then` say which a state has at this frame
    # and at the next one.
    tokens = np.empty(4096, TOKEN)
    now, then = np.full(num_states, -1), np.full(num_states, -1)
    now_states, then_states = np.empty(num_states, np.int64), np.empty(num_states, np.int64)
    tokens[0].cost, tokens[0].acoustic, tokens[0].arc, tokens[0].previous = 0.0, 0.0, -1, -1
    now[start], now_states[0] = 0, start
    tokens = with_room(tokens, 1, num_states)
    made, count = _process_nonemitting(graph, np.inf, tokens, 1, now, now_states, 1)
    for t in range(len(frames)):
        tokens = with_room(tokens, made, num_states)
        made, count, limit = _process_emitting(
            graph, decodable, t, beam, tokens, made, now, now_states, count, then, then_states
        )
        now, then, now_states, then_states = then, now, then_states, now_states
        made, count = _process_nonemitting(graph, limit, tokens, made, now, now_states, count)
    return _best_path(final, tokens, now, now_states, count)
