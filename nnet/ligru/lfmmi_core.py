"""Forward-backward over the graphs of lattice-free MMI, compiled by numba.

Frames are packed (packing.py): those of step 0 of all sequences, then those of step 1, and so on. The denominator is in
probabilities, scaled at each frame, with all sequences of a step side by side; the numerators in logarithms.
"""

from __future__ import annotations

import math

import numpy as np

from kaldi.base.jit import njit

LIMIT = 30.0  # outputs beyond it are taken for it where their exponential is: Kaldi's denominator does so too


@njit(cache=True, nogil=True)
def _exponentials(output, likelihood):
    """Those of limited outputs [sequences, pdfs], into the first columns of likelihood [pdfs, sequences]."""
    for s in range(output.shape[0]):
        for pdf in range(output.shape[1]):
            likelihood[pdf, s] = math.exp(min(max(output[s, pdf], -LIMIT), LIMIT))


@njit(cache=True, nogil=True)
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + math.log1p(math.exp(b - a))


@njit(
    [
        f"float64[::1]({real}[:, ::1], int64[::1], {real}[::1], int32[::1], int32[::1], int32[::1], int32[::1], "
        f"{real}[::1], {real}, {real}[:, ::1])"
        for real in ("float32", "float64")
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def denominator(output, sizes, initial, state, pdf, entry, source, weight, leaky, occupancy):
    """Log-probability of each sequence under a graph, in the order of the packing; occupancy += that of the pdfs.

    The graph's arcs are grouped by *entry*: a state together with the pdf of arcs into it. So what is done for each arc
    is a product with a sparse matrix [entries, states], and all else is done for each entry or state only.
    output, occupancy: [frames, pdfs]. sizes: [steps] sequences that run at each. initial: [states] probabilities.
    state, pdf: [entries]. entry, source, weight: [arcs] where an arc leads, the state that it leaves, its probability.
    leaky: probability, times that of `initial`, of going from any state to any other between frames.
    """
    states, steps, sequences = len(initial), len(sizes), sizes[0]
    inverse = np.empty((steps, sequences), initial.dtype)  # of the sums that the states are divided by
    through = np.zeros(len(output) * len(pdf), initial.dtype)  # each frame's paths through each entry
    alpha = np.empty((states, sequences), initial.dtype)
    beta = np.empty((states, sequences), initial.dtype)
    flow = np.empty((states, sequences), initial.dtype)
    likelihood = np.empty((output.shape[1], sequences), initial.dtype)
    occupied = np.empty_like(likelihood)
    sums = np.empty(sequences, initial.dtype)
    logprob = np.zeros(sequences)
    leak = initial * leaky
    for i in range(states):
        alpha[i] = initial[i] + leak[i]
    begin = 0
    for step in range(steps):
        n = sizes[step]
        _exponentials(output[begin : begin + n], likelihood)
        paths = through[begin * len(pdf) : (begin + n) * len(pdf)].reshape((len(pdf), n))
        for arc in range(len(entry)):
            w, before, after = weight[arc], alpha[source[arc]], paths[entry[arc]]
            for s in range(n):
                after[s] += w * before[s]
        for i in range(states):
            for s in range(n):
                flow[i, s] = 0
        for e in range(len(pdf)):
            x, there, total = likelihood[pdf[e]], paths[e], flow[state[e]]
            for s in range(n):
                there[s] *= x[s]
                total[s] += there[s]
        for s in range(n):
            sums[s] = 0
        for i in range(states):
            for s in range(n):
                sums[s] += flow[i, s]
        for s in range(n):
            logprob[s] += math.log(sums[s])
            inverse[step, s] = 1 / sums[s]
        for i in range(states):
            for s in range(n):
                alpha[i, s] = flow[i, s] * inverse[step, s] + leak[i]
        begin += n
    # After the last step of a sequence its states sum to 1 + leaky, as they do after each other one.
    logprob += math.log(1 + leaky)
    last = 1 / (1 + leaky)
    running = 0
    for step in range(steps - 1, -1, -1):
        n = sizes[step]
        begin -= n
        for i in range(states):
            for s in range(running, n):  # those that end here
                beta[i, s] = last
        running = n
        # beta is the derivative by states that others have leaked into; flow that by states before they are scaled.
        for s in range(n):
            sums[s] = 0
        for i in range(states):
            for s in range(n):
                sums[s] += leak[i] * beta[i, s]
        for i in range(states):
            for s in range(n):
                flow[i, s] = (beta[i, s] + sums[s]) * inverse[step, s]
                beta[i, s] = 0
        _exponentials(output[begin : begin + n], likelihood)
        paths = through[begin * len(pdf) : (begin + n) * len(pdf)].reshape((len(pdf), n))
        for i in range(len(occupied)):
            for s in range(n):
                occupied[i, s] = 0
        for e in range(len(pdf)):
            x, there, after, total = likelihood[pdf[e]], paths[e], flow[state[e]], occupied[pdf[e]]
            for s in range(n):
                total[s] += there[s] * after[s]
                there[s] = x[s] * after[s]
        for s in range(n):
            for i in range(len(occupied)):
                occupancy[begin + s, i] += occupied[i, s]
        for arc in range(len(entry)):
            w, after, before = weight[arc], paths[entry[arc]], beta[source[arc]]
            for s in range(n):
                before[s] += w * after[s]
    return logprob


NUMERATOR_SIGNATURES = [
    f"float64({real}[:, ::1], int64[::1], int64, int64[::1], int32[::1], float32[::1], int32[::1], float32[::1], "
    f"{real}[:, ::1])"
    for real in ("float32", "float64")
]


@njit(NUMERATOR_SIGNATURES, cache=True, nogil=True)
def numerator(output, rows, start, offsets, label, cost, target, final, occupancy):
    """Log-probability of one sequence under its own graph; occupancy += that of the pdfs.

    output, occupancy: [frames, pdfs], of which those rows are used that the sequence's frames lie in. The graph is an
    acceptor of pdfs + 1 in the arrays of kaldi.fstext.fst.Fst, a frame each arc, its states in topological order.
    """
    states = len(final)
    frame = np.zeros(states, np.int64)
    alpha = np.full(states, -np.inf)
    beta = -final.astype(np.float64)
    alpha[start] = 0.0
    total = -np.inf
    for state in range(states):
        for arc in range(offsets[state], offsets[state + 1]):
            after = target[arc]
            frame[after] = frame[state] + 1
            score = alpha[state] - cost[arc] + output[rows[frame[state]], label[arc] - 1]
            alpha[after] = _log_add(alpha[after], score)
        total = _log_add(total, alpha[state] - final[state])
    for state in range(states - 1, -1, -1):
        for arc in range(offsets[state], offsets[state + 1]):
            score = beta[target[arc]] - cost[arc] + output[rows[frame[state]], label[arc] - 1]
            beta[state] = _log_add(beta[state], score)
            occupancy[rows[frame[state]], label[arc] - 1] += math.exp(alpha[state] + score - total)
    return total


@njit(NUMERATOR_SIGNATURES, cache=True, nogil=True)
def end_to_end_numerator(output, rows, start, offsets, label, cost, target, final, occupancy):
    """As numerator, of a graph that may have loops: all of its paths with as many arcs as the sequence has frames.

    -inf, and nothing is added, if there is none.
    """
    frames, states = len(rows), len(final)
    alpha = np.full((frames + 1, states), -np.inf)
    alpha[0, start] = 0.0
    for frame in range(frames):
        scores, before, after = output[rows[frame]], alpha[frame], alpha[frame + 1]
        for state in range(states):
            if before[state] > -np.inf:
                for arc in range(offsets[state], offsets[state + 1]):
                    score = before[state] - cost[arc] + scores[label[arc] - 1]
                    after[target[arc]] = _log_add(after[target[arc]], score)
    total = -np.inf
    for state in range(states):
        total = _log_add(total, alpha[frames, state] - final[state])
    if total == -np.inf:
        return total
    beta = -final.astype(np.float64)
    for frame in range(frames - 1, -1, -1):
        scores, occupied, following = output[rows[frame]], occupancy[rows[frame]], beta.copy()
        for state in range(states):
            beta[state] = -np.inf
            if alpha[frame, state] > -np.inf:
                for arc in range(offsets[state], offsets[state + 1]):
                    score = following[target[arc]] - cost[arc] + scores[label[arc] - 1]
                    if score > -np.inf:
                        beta[state] = _log_add(beta[state], score)
                        occupied[label[arc] - 1] += math.exp(alpha[frame, state] + score - total)
    return total
