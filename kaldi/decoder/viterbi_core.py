"""Viterbi beam search over the graph of one utterance (Kaldi: decoder/faster-decoder.h), compiled by numba.

Log-likelihoods are computed when the search first asks for a pdf at a frame: the beam needs few of them.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit

NEGLIGIBLE = np.float32(-15.9)  # log of the float precision: less adds nothing to a sum
MIN_ACTIVE = 20  # no pruning below this number of tokens
BEAM_DELTA = 0.5


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
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


@njit(cache=True, nogil=True)
def _cutoff(states, count, tokens, costs, beam):
    """(cost above which tokens are dropped, beam to use from there, best token), keeping MIN_ACTIVE tokens."""
    best, best_token, inside = np.inf, -1, 0
    for i in range(count):
        cost = costs[tokens[states[i]]]
        if cost < best:
            best, best_token = cost, i
    if count <= MIN_ACTIVE:
        return np.inf, np.inf, best_token
    for i in range(count):
        inside += costs[tokens[states[i]]] < best + beam
    if inside > MIN_ACTIVE:
        return best + beam, beam, best_token
    all_costs = np.empty(count, np.float32)  # single precision as in Kaldi: its rounding decides about the last token
    for i in range(count):
        all_costs[i] = costs[tokens[states[i]]]
    loosest = np.float64(np.partition(all_costs, MIN_ACTIVE)[MIN_ACTIVE])
    if loosest > best + beam:
        return loosest, loosest - best + BEAM_DELTA, best_token
    return best + beam, beam, best_token


@njit(cache=True, nogil=True)
def _grown(array):
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(
    "Tuple((float64, int64[::1], float32[::1]))"
    "(int64, float32[::1], int64[::1], int32[::1], float32[::1], int32[::1], int32[::1], float32[:,::1],"
    " float32[:,::1], int64[::1], float64, float64)",
    cache=True,
    nogil=True,
)
def viterbi(start, final, offsets, ilabel, weight, target, pdf, frames, parameters, gaussians, scale, beam):
    """Best path through a graph of N states and A arcs for T frames.

    final, offsets, ilabel, weight, target: as in kaldi.fst.Fst, weights with transition probabilities; pdf: int32[A],
    of each arc with an input label; frames: float32[T, 2 dim + 1], (x, x * x, 1); parameters: float32[G, 2 dim + 1] of
    all Gaussians, those of pdf p being rows gaussians[p]:gaussians[p + 1]; scale: of log-likelihoods; beam: of costs.
    Returns (cost of the path, its arcs int64[L], the acoustic costs float32[L] of its arcs); the cost is inf, and the
    path empty, when no final state was reached at the last frame.
    """
    n = len(final)
    # tokens: one per state and frame, linked backwards
    cost, acoustic = np.empty(4096), np.empty(4096, np.float32)
    arc_of, previous = np.empty(4096, np.int64), np.empty(4096, np.int64)
    made = 1
    cost[0], acoustic[0], arc_of[0], previous[0] = 0.0, 0.0, -1, -1
    now, then = np.full(n, -1), np.full(n, -1)  # token of each state at this and at the next frame
    now_states, then_states = np.empty(n, np.int64), np.empty(n, np.int64)
    queue = np.empty(2 * n, np.int64)
    likelihood, stamp = np.empty(len(gaussians) - 1, np.float32), np.full(len(gaussians) - 1, -1)
    scores = np.empty(np.max(np.diff(gaussians)), np.float32)
    now[start], now_states[0], count = 0, start, 1
    limit = np.inf
    for t in range(-1, len(frames)):
        if t >= 0:
            drop, width, best = _cutoff(now_states, count, now, cost, beam)
            limit = np.inf
            arrived = 0
            for i in range(-1, count):  # the best token first, for an early bound
                if i < 0 and best < 0:
                    continue
                s = now_states[best if i < 0 else i]
                token = now[s]
                if i >= 0 and cost[token] >= drop:
                    continue
                for a in range(offsets[s], offsets[s + 1]):
                    if ilabel[a] == 0:
                        continue
                    p = pdf[a]
                    if stamp[p] != t:
                        stamp[p] = t
                        likelihood[p] = _log_likelihood(frames[t], parameters, gaussians[p], gaussians[p + 1], scores)
                    here = np.float32(-scale * likelihood[p])
                    new = cost[token] + weight[a] + here
                    if i >= 0 and new < limit:
                        d = target[a]
                        k = then[d]
                        if k < 0:
                            if made == len(cost):
                                cost, acoustic = _grown(cost), _grown(acoustic)
                                arc_of, previous = _grown(arc_of), _grown(previous)
                            k = then[d] = made
                            made += 1
                            then_states[arrived] = d
                            arrived += 1
                            cost[k] = np.inf
                        if new < cost[k]:
                            cost[k], acoustic[k], arc_of[k], previous[k] = new, here, a, token
                    limit = min(limit, new + width)
            for i in range(count):
                now[now_states[i]] = -1
            now, then = then, now
            now_states, then_states = then_states, now_states
            count = arrived
        for i in range(count):
            queue[i] = now_states[i]
        waiting = count
        while waiting:
            waiting -= 1
            s = queue[waiting]
            token = now[s]
            if cost[token] > limit:
                continue
            for a in range(offsets[s], offsets[s + 1]):
                if ilabel[a] != 0:
                    continue
                new = cost[token] + weight[a]
                if new > limit:
                    continue
                d = target[a]
                k = now[d]
                if k < 0:
                    if made == len(cost):
                        cost, acoustic = _grown(cost), _grown(acoustic)
                        arc_of, previous = _grown(arc_of), _grown(previous)
                    k = now[d] = made
                    made += 1
                    now_states[count] = d
                    count += 1
                    cost[k] = np.inf
                if new < cost[k]:
                    cost[k], acoustic[k], arc_of[k], previous[k] = new, 0.0, a, token
                    if waiting == len(queue):
                        queue = _grown(queue)
                    queue[waiting] = d
                    waiting += 1
    total, token = np.inf, -1
    for i in range(count):
        s = now_states[i]
        if cost[now[s]] + final[s] < total:
            total, token = cost[now[s]] + final[s], now[s]
    length, k = 0, token
    while k > 0:
        length += 1
        k = previous[k]
    path, path_acoustic = np.empty(length, np.int64), np.empty(length, np.float32)
    k = token
    for i in range(length - 1, -1, -1):
        path[i], path_acoustic[i] = arc_of[k], acoustic[k]
        k = previous[k]
    return total, path, path_acoustic
