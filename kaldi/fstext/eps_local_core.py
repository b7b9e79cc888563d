"""Local epsilon removal (Kaldi: fstext/remove-eps-local.h), on linked lists of arcs since it adds arcs as it goes."""

from __future__ import annotations

import numpy as np

from kaldi.base.jit import njit


@njit(cache=True)
def _plus(a: float, b: float, log_semiring: bool) -> float:
    """Sum of two costs, in the log or the tropical semiring."""
    low, high = min(a, b), max(a, b)
    if not log_semiring or high == np.inf:
        return low
    return low - np.log1p(np.exp(low - high))


@njit(
    "int64(int64, float32[::1], int64[::1], int64[::1], int64[::1], int64[::1], int32[::1], int32[::1],"
    " float32[::1], int32[::1], int64, boolean)",
    cache=True,
)
def remove_epsilons(start, final, head, tail, follow, source, ilabel, olabel, weight, target, count, log_sums):
    """Merge arcs with what follows them where that cannot make the transducer larger; changes the arrays in place.

    Two patterns, for an arc from s to another state t: t has one way in and several ways out (ending counts as one):
    the ways out that fit (an epsilon on each side of the pair) move to s, and the rest of the weights is rescaled so
    that the sums of t and s stay; or t has a single way out, which is appended to the arc.

    head, tail: int64[N], first and last arc of each state; follow: int64[capacity], the next arc of the same state,
    -1 at the end; source, ilabel, olabel, weight, target: [capacity], the first `count` being there. Removed arcs get
    target -1. Returns the new number of arcs, or -1 when the capacity does not suffice.
    """
    states, capacity = len(final), len(ilabel)
    arcs_in, arcs_out = np.zeros(states, np.int64), np.zeros(states, np.int64)
    arcs_in[start] = 1
    for s in range(states):
        if final[s] != np.inf:
            arcs_out[s] += 1
        a = head[s]
        while a >= 0:
            arcs_in[target[a]] += 1
            arcs_out[s] += 1
            a = follow[a]
    for s in range(states):
        a = head[s]
        while a >= 0:
            t = target[a]
            if t < 0 or t == s:
                a = follow[a]
                continue
            several = arcs_in[t] == 1 and arcs_out[t] > 1
            if not several and arcs_out[t] != 1:
                a = follow[a]
                continue
            removable = arcs_in[t] == 1
            removed, kept = np.inf, np.inf
            merged = False
            last = count  # arcs made here are appended after the loop over t's
            b = head[t]
            while b >= 0:
                if target[b] < 0:
                    b = follow[b]
                    continue
                if (ilabel[a] == 0 or ilabel[b] == 0) and (olabel[a] == 0 or olabel[b] == 0):
                    if count == capacity:
                        return -1
                    merged = True
                    ilabel[count] = ilabel[a] if ilabel[a] != 0 else ilabel[b]
                    olabel[count] = olabel[a] if olabel[a] != 0 else olabel[b]
                    weight[count] = weight[a] + weight[b]
                    source[count], target[count] = s, target[b]
                    follow[count] = -1
                    count += 1
                    removed = _plus(removed, weight[b], log_sums)
                    arcs_out[s] += 1
                    if removable:
                        arcs_out[t] -= 1
                        target[b] = -1
                    else:
                        arcs_in[target[b]] += 1
                else:
                    kept = _plus(kept, weight[b], log_sums)
                b = follow[b]
            if final[t] != np.inf:
                if ilabel[a] == 0 and olabel[a] == 0:
                    merged = True
                    removed = _plus(removed, final[t], log_sums)
                    if final[s] == np.inf:
                        arcs_out[s] += 1
                    final[s] = min(final[s], weight[a] + final[t])
                    if removable:
                        arcs_out[t] -= 1
                        final[t] = np.inf
                else:
                    kept = _plus(kept, final[t], log_sums)
            if merged and kept == np.inf:
                arcs_out[s] -= 1
                arcs_in[t] -= 1
                target[a] = -1
            elif merged:
                share = kept - _plus(removed, kept, log_sums)
                weight[a] += share
                b = head[t]
                while b >= 0:
                    if target[b] >= 0:
                        weight[b] -= share
                    b = follow[b]
                if final[t] != np.inf:
                    final[t] -= share
            for new in range(last, count):
                follow[tail[s]] = new
                tail[s] = new
            a = follow[a]
    return count
