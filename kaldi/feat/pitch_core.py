"""The Viterbi search of the pitch tracker, compiled by numba.

Costs are of single precision as in Kaldi: where nothing is heard, their rounding decides between paths.
"""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit


@njit
def nearest(cost, penalty, center, border):
    """The parabolas penalty * (i - j)^2 + cost[j] that are lowest somewhere: their number, j of each in `center`.

    border[k]: from where on the k-th is the lowest (P. Felzenszwalb, D. Huttenlocher, "Distance Transforms of Sampled
    Functions", Theory of Computing 8, 2012).
    """
    last = 0
    center[0], border[0] = 0, -np.inf
    for j in range(1, len(cost)):
        while True:
            i = center[last]
            rise = np.float64(cost[j]) - np.float64(cost[i])
            crossing = 0.5 * (rise / (penalty * (j - i)) + i + j)
            if crossing > border[last]:
                break
            last -= 1
        last += 1
        center[last], border[last] = j, crossing
    return last + 1


@njit("int64[::1](float32[:,::1], float32)", cache=True, nogil=True)
def best_path(local_cost, penalty):
    """The path [T] through local costs [T, N] of the least sum, where to go from i to j costs penalty * (i - j)^2."""
    frames, states = local_cost.shape
    previous = np.empty((frames, states), np.int16)
    center, border = np.empty(states, np.int64), np.empty(states)
    cost, then = np.zeros(states, np.float32), np.empty(states, np.float32)
    for t in range(frames):
        count = nearest(cost, penalty, center, border)
        k, least = 0, np.float32(np.inf)
        for i in range(states):
            while k + 1 < count and border[k + 1] < i:
                k += 1
            j = center[k]
            previous[t, i] = j
            then[i] = cost[j] + penalty * np.float32((i - j) * (i - j)) + local_cost[t, i]
            least = min(least, then[i])
        for i in range(states):
            cost[i] = then[i] - least
    path = np.empty(frames, np.int64)
    state = np.argmin(cost)
    for t in range(frames - 1, -1, -1):
        path[t] = state
        state = previous[t, state]
    return path
